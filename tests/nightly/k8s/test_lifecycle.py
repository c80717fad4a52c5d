"""Up changes nothing that is well and mends what is not; down leaves nothing, whatever was killed.

The cluster that others use is not touched: these tests have their own, a control plane beside it,
and a whole node in network and mount namespaces of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.systems.cluster import PROGRAM, Cluster, testcluster


def traces(state: Path) -> list[str]:
    """Processes and mounts that have to do with a state folder, by /proc alone."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(state) in command:
                    found.append(command)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [line for line in mounts if str(state) in line]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "second"


_WHOLE_NODE = """
set -eu
mount -t tmpfs tmpfs /run
ip link set lo up
fact() { "$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$@"; }
"$PYTHON" "$PROGRAM" up --state "$STATE"
export KUBECONFIG="$STATE/kubeconfig"
kubectl=$(fact "$STATE/facts.json" bin)/kubectl
image=$(fact "$STATE/facts.json" registry_pull)/base:bookworm
"$kubectl" create deployment web --replicas=2 --image="$image" -- sleep 3600
"$kubectl" rollout status deployment/web --timeout=120s
for name in kubelet containerd dockerd apiserver; do
  kill -9 "$(fact "$STATE/run/$name.json" pid)"
done
"$PYTHON" "$PROGRAM" down --state "$STATE"
echo "--- left"
ip -o link | grep -v ': lo:' || true
iptables-save | grep -E 'KUBE-|CNI-' || true
grep "$STATE" /proc/self/mountinfo || true
find /sys/fs/cgroup -maxdepth 3 -type d -path "*schnitzel-testcluster/$ID" || true
"""


@pytest.mark.timeout(600)
def test_down_leaves_nothing_of_a_whole_node(cluster: Cluster, state: Path) -> None:
    environment = {"PYTHON": sys.executable, "PROGRAM": str(PROGRAM), "STATE": str(state)}
    environment["ID"] = hashlib.sha256(str(state).encode()).hexdigest()[:8]
    namespaces = ["unshare", "--net", "--mount", "--propagation", "private"]
    try:
        done = subprocess.run(
            [*namespaces, "bash", "-c", _WHOLE_NODE],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | environment,
        )
    finally:
        testcluster("down", "--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successfully rolled out" in done.stdout
    assert done.stdout.partition("--- left\n")[2] == ""
    assert traces(state) == []
