"""Remove all of a cluster but its images, whatever was killed and how.

Processes are found by their cgroup, mounts by where they are, interfaces and rules by their names.
"""

import json
import shutil
import subprocess
import time
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

from testcluster import cgroups, network, roots
from testcluster.errors import ClusterError
from testcluster.layout import POD_BRIDGE, WEED_GRPC, Layout

# One of these is in every folder of a cluster, also in one that was half deleted.
_OURS = {"ports.json", "pki", "config", "etcd", "logs", "run"}
_CLAIM = Path("/run/schnitzel-testcluster/node")


def claim(layout: Layout) -> None:
    """Take the machine's one node for this cluster.

    Raises:
        ClusterError: another cluster has it, or a Kubernetes that is not ours.
    """
    holder = _CLAIM.read_text().strip() if _CLAIM.exists() else ""
    if holder == str(layout.state):
        return
    if holder and cgroups.members(Layout(Path(holder)).cgroup):
        raise ClusterError(
            f"The node of this machine belongs to the cluster in {holder}.",
            f"Remove it: SCHNITZEL_TESTCLUSTER={holder} make cluster-down",
        )
    if not holder and any(chain.startswith("KUBE-") for chain in network.rules()):
        raise ClusterError(
            "Another Kubernetes node runs on this machine: its rules are in iptables.",
            "Use that cluster: set SCHNITZEL_TEST_KUBECONFIG.",
        )
    _CLAIM.parent.mkdir(parents=True, exist_ok=True)
    _CLAIM.write_text(f"{layout.state}\n")


def remove(layout: Layout) -> None:
    """End the processes, undo mounts, network and cgroups, delete the files.

    Raises:
        ClusterError: the folder holds something else, or something is left.
    """
    content = {path.name for path in layout.state.iterdir()} if layout.state.exists() else set()
    if content and not content & _OURS:
        raise ClusterError(f"{layout.state} is not the folder of a cluster.", "Name another one.")
    # All of it is deleted, so nothing needs time to put its things in order; and what would
    # start others again goes first.
    for name in ("kubelet", "containerd"):
        cgroups.end(f"{layout.cgroup}/programs/{name}", grace=0)
    cgroups.end(layout.cgroup, grace=0)
    _unmount(layout)
    if _holds_node(layout):
        network.down()
        _CLAIM.unlink()
    cgroups.remove(layout.cgroup)
    _delete_strays(layout)
    for folder in (layout.run, layout.tables, layout.state):
        _delete(folder)
    layout.ports_claim.unlink(missing_ok=True)
    roots.leave(layout)


def _delete_strays(layout: Layout) -> None:
    """Delete the files that programs leave in places that no setting changes."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.state):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob(f"{POD_BRIDGE}-*"):
        # Another node, in a network namespace of its own, keeps its own there too.
        with suppress(OSError, ValueError, KeyError):
            config = b64decode(json.loads(result.read_text())["config"]).decode()
            if str(layout.state) in config:
                result.unlink()
    ports = layout.ports if layout.state.exists() else {}
    for name in ("s3", "s3-master", "s3-volume", "s3-filer"):
        if name in ports:
            for sock in Path("/tmp").glob(f"seaweedfs-*{ports[name] + WEED_GRPC}.sock"):  # noqa: S108
                sock.unlink(missing_ok=True)


def _holds_node(layout: Layout) -> bool:
    return _CLAIM.exists() and _CLAIM.read_text().strip() == str(layout.state)


def _unmount(layout: Layout) -> None:
    for point in reversed(mounts(layout)):
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)
    if left := mounts(layout):
        raise ClusterError(f"Still mounted: {', '.join(map(str, left))}.")


def mounts(layout: Layout) -> list[Path]:
    """What is mounted below the cluster's folders, in the order of mounting."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].replace("\\040", " ")) for line in lines]
    kept = f"/roots/{layout.id}/"  # of whichever cache it was brought up with
    folders = (layout.state, layout.run)
    return [
        point for point in points if kept in str(point) or any(map(point.is_relative_to, folders))
    ]


def _delete(folder: Path) -> None:
    """Delete a folder that a dying process may still write to for a moment."""
    deadline = time.monotonic() + 5
    while folder.exists():
        with suppress(OSError):
            shutil.rmtree(folder)
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"{folder} cannot be deleted.")
        time.sleep(0.1)
