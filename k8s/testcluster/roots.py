"""Give a node that begins the valid images that the cluster before it left.

containerd's root, dockerd's and the registry's lie in the cache, one of each for each cluster, so
that `down` and `up` neither builds nor pulls an image again. Each may have been left by a kill -9:
what is not an image is cleared away, and what cannot be trusted is thrown away with a line of why.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stack.files import keep
from stack.supervision.processes import boot_id
from testcluster import cgroups
from testcluster.console import say
from testcluster.errors import ClusterError
from testcluster.layout import Layout
from testcluster.programs import Program, ensure, stop

LIMIT = 12_000_000_000
"""Bytes, about: as compressed in the registry and in containerd, unpacked in Docker."""
_PARTS = {"containerd": "containerd", "docker": "dockerd", "registry": "docker-registry"}
"""The folders, and the program that writes each."""
_IMAGES = (
    "io.containerd.content.v1.content",
    "io.containerd.metadata.v1.bolt",
    "io.containerd.snapshotter.v1.overlayfs",
)
"""Of containerd's root; the rest is about containers."""
_SMALL = 4_000_000
"""Larger blobs of a registry are layers."""


def folder(layout: Layout, part: str) -> Path:
    """Where a program keeps its images."""
    return layout.roots / part / "data"


def prepare(layout: Layout) -> None:
    """Make what an earlier cluster left fit for a new one, before any of the programs runs."""
    for name in ("kubelet", "containerd", "dockerd", "registry"):  # whose state was deleted
        cgroups.end(f"{layout.cgroup}/programs/{name}", grace=0)
    _forget_others(layout)
    used = layout.roots / "boot"
    before = used.read_text() if used.exists() else ""
    size = sum(sizes(layout))
    for part, program in _PARTS.items():
        kept = layout.roots / part / "version"
        if not kept.exists() or kept.read_text() != _version(part):
            discard(layout, part, f"another version of {program} wrote them")
        elif before not in ("", boot_id()):
            discard(layout, part, "the machine went off while they were in use")
        elif size > LIMIT:
            discard(layout, part, f"all together are larger than {LIMIT // 10**9} GB")
    keep(used, boot_id())
    keep(layout.roots / "state", str(layout.state))
    prepare_registry(layout)
    try:
        _clear_containerd(layout)
    except ClusterError as error:
        discard(layout, "containerd", error.message)


def prepare_registry(layout: Layout) -> None:
    """Begin anew if a file is not whole: what the registry has, nobody pushes again."""
    if broken := _broken_in_registry(folder(layout, "registry")):
        discard(layout, "registry", f"{broken} was being written when the registry was killed")


def discard(layout: Layout, part: str, why: str) -> None:
    """Throw away the images that a program keeps."""
    if folder(layout, part).exists():
        say(f"==> the images kept for {part} are thrown away: {why}")
    shutil.rmtree(layout.roots / part, ignore_errors=True)
    keep(layout.roots / part / "version", _version(part))


def remove(layout: Layout) -> None:
    """Delete all images of a cluster that is down."""
    shutil.rmtree(layout.roots, ignore_errors=True)


def leave(layout: Layout) -> None:
    """Note that nothing uses them any more."""
    (layout.roots / "boot").unlink(missing_ok=True)


def _forget_others(layout: Layout) -> None:
    """Delete the images of clusters that can never come up again: those of tests, mostly."""
    for other in layout.roots.parent.glob("*/state"):
        if not Path(other.read_text()).parent.exists():
            shutil.rmtree(other.parent, ignore_errors=True)


def _version(part: str) -> str:
    done = subprocess.run([_PARTS[part], "--version"], check=True, capture_output=True, text=True)
    return done.stdout


def sizes(layout: Layout) -> Iterator[int]:
    """Size up what each holds, from files that are few."""
    blobs = "docker/registry/v2/blobs/sha256/*/*/data"
    for path in folder(layout, "registry").glob(blobs):
        yield path.stat().st_size
    for path in folder(layout, "containerd").glob(f"{_IMAGES[0]}/blobs/sha256/*"):
        yield path.stat().st_size
    for path in folder(layout, "docker").glob("image/overlay2/layerdb/sha256/*/size"):
        yield int(path.read_text() or 0)


def _broken_in_registry(root: Path) -> Path | None:
    """Find a small file that is not whole; layers are moved into place when they are."""
    storage = root / "docker/registry/v2"
    for link in storage.glob("repositories/**/link"):
        if not link.stat().st_size:
            return link
    for blob in storage.glob("blobs/sha256/*/*/data"):
        if blob.stat().st_size > _SMALL:
            continue
        if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.parent.name:
            return blob
    return None


def _clear_containerd(layout: Layout) -> None:
    """Delete the containers of the cluster before, with a containerd that has no pods to restart.

    Raises:
        ClusterError: what is there cannot be read.
    """
    root = folder(layout, "containerd")
    if not root.exists():
        return
    for path in root.iterdir():
        if path.name not in _IMAGES:
            shutil.rmtree(path)
    socket = layout.run / "clearing.sock"
    config = layout.config(
        "clearing.toml",
        f"""\
version = 2
root = "{root}"
state = "{layout.run}/clearing"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
""",
    )

    def ctr(*arguments: str) -> str:
        command = ["ctr", "-a", str(socket), "-n", "k8s.io", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"ctr {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def answers() -> bool:
        with suppress(ClusterError):
            return bool(ctr("plugins", "ls"))
        return False

    program = Program("clearing", ["containerd", "--config", config], answers, patience=30)
    try:
        ensure(layout, program)
        if containers := ctr("containers", "ls", "-q").split():
            ctr("containers", "rm", *containers)
        lines = [line.split() for line in ctr("snapshots", "ls").splitlines()[1:]]
        # Committed ones are layers; the others were a container's, or being unpacked.
        for key in (line[0] for line in lines if line[-1] != "Committed"):
            ctr("snapshots", "rm", key)
        if leases := ctr("leases", "ls", "-q").split():
            ctr("leases", "rm", *leases)
        ctr("images", "ls", "-q")
    finally:
        stop(layout, program)
        shutil.rmtree(layout.run / "clearing", ignore_errors=True)
