"""Down leaves nothing of a node but its images, whatever was killed, and the next up has them.

The cluster that others use is not touched: this one has network and mount namespaces of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.systems import cluster


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
begin() {
  "$PYTHON" "$PROGRAM" up --state "$STATE"
  facts="$STATE/facts.json" bin=$(fact "$STATE/facts.json" bin)
  export KUBECONFIG="$STATE/kubeconfig" DOCKER_HOST=$(fact "$facts" docker_host)
  image=$(fact "$facts" registry_pull)/base:bookworm registry=$(fact "$facts" registry_push)
}
serve() {
  "$bin/kubectl" create deployment web --replicas=2 --image="$image" -- sleep 3600
  "$bin/kubectl" rollout status deployment/web --timeout=120s
}
pulled() { ctr -a "$(fact "$facts" containerd)" -n k8s.io images ls -q; }
begin
serve
docker tag localhost/base:bookworm localhost/kept:1
"$bin/crane" tag --insecure "$registry/base:bookworm" kept
for name in kubelet containerd dockerd registry apiserver; do
  kill -9 "$(fact "$STATE/run/$name.json" pid)"
done
"$PYTHON" "$PROGRAM" down --state "$STATE"
echo "--- left"
ip -o link | grep -v ': lo:' || true
iptables-save | grep -E 'KUBE-|CNI-' || true
grep -E "$STATE|roots/$ID" /proc/self/mountinfo || true
find /sys/fs/cgroup -maxdepth 3 -type d -path "*schnitzel-testcluster/$ID" || true
echo "--- again"
begin
echo "--- kept"
pulled | grep -qx "$image" && echo pulled
docker image inspect --format built localhost/kept:1
"$bin/crane" digest --insecure "$registry/base:kept" >/dev/null && echo pushed
ctr -a "$(fact "$facts" containerd)" -n k8s.io containers ls -q
echo "--- served"
serve
"$PYTHON" "$PROGRAM" down --images --state "$STATE"
"""


@pytest.mark.timeout(600)
def test_down_leaves_nothing_of_a_whole_node_but_its_images(state: Path) -> None:
    cluster.require_possible("containerd")
    environment = {"PYTHON": sys.executable, "PROGRAM": str(cluster.PROGRAM), "STATE": str(state)}
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
        cluster.testcluster("down", "--images", "--state", str(state))
    assert done.returncode == 0, done.stdout + done.stderr
    first, left, again, kept, served = done.stdout.split("\n--- ")
    assert "successfully rolled out" in first
    assert left == "left"
    assert "thrown away" not in again
    assert kept.split() == ["kept", "pulled", "built", "pushed"]  # and no container
    assert "successfully rolled out" in served
    assert traces(state) == []
