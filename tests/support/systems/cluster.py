"""A real Kubernetes for tests: the node of k8s/testcluster, or the cluster of a given kubeconfig.

`cluster()` brings the node up if it is not there and takes down, at the end of the run, only what
it brought up; `control_plane()` does so with an API server that has no node. The variable
SCHNITZEL_TEST_KUBECONFIG names another cluster (kind, or any) for both: its facts are read from
`facts.json` beside the kubeconfig, and a test that needs one that is not there is skipped.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any

import pytest

from support import ROOT
from support.systems.reading import Reader

PROGRAM = ROOT / "k8s/testcluster"


def state_folder() -> Path:
    """Where the node of this user lives, if it is up."""
    named = os.environ.get("SCHNITZEL_TESTCLUSTER", "~/.local/state/schnitzel-testcluster")
    return Path(named).expanduser()


@cache
def cluster() -> Cluster:
    """The cluster of this test run; the test does not run where there can be none."""
    if given := os.environ.get("SCHNITZEL_TEST_KUBECONFIG"):
        return _given(Path(given).expanduser())
    require_possible("containerd")
    state = state_folder()
    if not (state / "facts.json").exists():
        atexit.register(testcluster, "down", "--state", str(state))
    testcluster("up", "--state", str(state))
    return _in(state)


@cache
def control_plane() -> Cluster:
    """An API server without a node, for tests that need no pod; its pods are never scheduled.

    It is the one in the state folder that SCHNITZEL_TEST_CONTROL_PLANE names. Without that
    variable the test processes of this checkout share one, and the last of them to end takes it
    down; one that a killed run left behind is taken over by the next run.
    """
    if given := os.environ.get("SCHNITZEL_TEST_KUBECONFIG"):
        return _given(Path(given).expanduser())
    if given := os.environ.get("SCHNITZEL_TEST_CONTROL_PLANE"):
        return _in(Path(given).expanduser())
    require_possible("openssl")
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    state = state_folder().with_name(f"schnitzel-control-plane-{checkout}")
    state.parent.mkdir(parents=True, exist_ok=True)
    users = state.with_suffix(".users").open("w")
    fcntl.flock(users, fcntl.LOCK_SH)
    atexit.register(_leave, users, state)
    testcluster("up", "--control-plane-only", "--state", str(state))
    return _in(state)


def _leave(users: IO[str], state: Path) -> None:
    """Take down a shared control plane unless another process holds its lock."""
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        testcluster("down", "--state", str(state))


@contextmanager
def second(state: Path | None = None) -> Iterator[Cluster]:
    """Another API server beside the first, without a node; gone afterwards."""
    require_possible("openssl")
    folder = state or Path(tempfile.mkdtemp(prefix="second-"))
    try:
        testcluster("up", "--control-plane-only", "--state", str(folder))
        yield _in(folder)
    finally:
        testcluster("down", "--state", str(folder))


def testcluster(*arguments: str) -> str:
    """Run `k8s/testcluster`; its output, which is also the message of its failure."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"testcluster {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout


testcluster.__test__ = False  # type: ignore[attr-defined]  # its name begins like a test's


class Cluster:
    """An API server, with or without nodes, as its administrator sees it."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.kubeconfig = Path(facts["kubeconfig"])

    def fact(self, name: str) -> Any:
        """One fact; a test that needs what this cluster does not have is skipped."""
        if name not in self.facts:
            pytest.skip(f"this cluster has no {name}: not in facts.json beside its kubeconfig")
        return self.facts[name]

    def pid(self, name: str) -> int:
        """The first process of one of the node's programs, by the name of its log."""
        record = Path(self.fact("state")) / "run" / f"{name}.json"
        pid: int = json.loads(record.read_text())["pid"]
        return pid

    def program(self, name: str) -> str:
        """kubectl, crane or helm: the one that was built with the cluster, else that on PATH."""
        own = Path(self.facts.get("bin", "")) / name
        found = str(own) if own.is_file() else shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is neither built nor on PATH")
        return found

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; whatever its exit status."""
        command = [self.program("kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, input=stdin)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl, which has to succeed; its output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get` as an object."""
        return self._reader.get(*arguments)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.kubeconfig)

    def ready_pods(self, namespace: str, *flags: str) -> list[dict[str, Any]]:
        """The pods that are ready and not about to end."""
        return [
            pod
            for pod in self.get("pods", "-n", namespace, *flags)["items"]
            if "deletionTimestamp" not in pod["metadata"]
            and any(  # of a pod that was just made there are none
                (condition["type"], condition["status"]) == ("Ready", "True")
                for condition in pod.get("status", {}).get("conditions", ())
            )
        ]

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> None:
        """Server-side apply as the tests' own field manager."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        flags = ("--server-side", "--field-manager=tests", "-n", namespace)
        self.kubectl("apply", *flags, "-f", "-", stdin=document)

    def define(self, crd: Path) -> None:
        """Make a CRD known."""
        flags = ("--server-side", "--force-conflicts", "--field-manager=tests")
        self.kubectl("apply", *flags, "-f", str(crd))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crd))

    @contextmanager
    def namespace(self, request: pytest.FixtureRequest | None = None) -> Iterator[str]:
        """A namespace of its own, `restricted` enforced; gone afterwards.

        A failure inside prints what happened in it; so does, if the fixture's request is given,
        the failure of the test that uses the fixture.
        """
        name = f"t-{secrets.token_hex(4)}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(_namespace(name, labels))
        failures = request.session.testsfailed if request else 0
        try:
            yield name
        except BaseException:
            sys.stderr.write(self.story(name))
            raise
        else:
            if request and request.session.testsfailed > failures:
                sys.stderr.write(self.story(name))
        finally:
            self.run("delete", "namespace", name, "--wait=false")

    def story(self, namespace: str) -> str:
        """What is in a namespace, what happened there, and the end of each pod's logs."""
        flags = ("-n", namespace)
        kinds = ("all", "modeldeployments", "httproutes", "leases")
        parts = [self.run("get", kind, *flags, "-o", "wide").stdout for kind in kinds]
        parts.append(self.run("get", "events", *flags, "--sort-by=.lastTimestamp").stdout)
        pods = self.run("get", "pods", *flags, "-o", "name").stdout.split()
        for pod in pods:
            logs = self.run("logs", *flags, pod, "--all-containers", "--prefix", "--tail=30")
            ended = self.run("logs", *flags, pod, "--all-containers", "--prefix", "--previous")
            parts += [ended.stdout[-3000:], logs.stdout + logs.stderr]
        return f"\n--- {namespace} ---\n" + "\n".join(part for part in parts if part.strip())


def _given(kubeconfig: Path) -> Cluster:
    facts = kubeconfig.with_name("facts.json")
    known = json.loads(facts.read_text()) if facts.exists() else {}
    return Cluster(known | {"kubeconfig": str(kubeconfig)})


def _in(state: Path) -> Cluster:
    return Cluster(json.loads((state / "facts.json").read_text()))


def _namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def require_possible(program: str) -> None:
    """End the test with one line where no cluster can be; under CI that is a failure."""
    go = shutil.which("go") or (state_folder() / "facts.json").exists()
    reasons = {
        "needs root": os.geteuid() == 0,
        "needs Debian": Path("/etc/debian_version").exists(),
        f"needs Debian's {program}: scripts/system-packages.sh": shutil.which(program),
        "needs Go, to build Kubernetes": go,
    }
    missing = [reason for reason, met in reasons.items() if not met]
    if not missing:
        return
    line = f"a cluster {', '.join(missing)}; or set SCHNITZEL_TEST_KUBECONFIG (make kind)"
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
