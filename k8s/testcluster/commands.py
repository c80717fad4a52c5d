"""In: `up`, `down`, `status` or `build`, and which cluster. Out: an exit status."""

import argparse
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from testcluster import (
    builds,
    controlplane,
    dns,
    facts,
    gateway,
    images,
    monitoring,
    network,
    node,
    registry,
    removal,
    storage,
)
from testcluster.console import say
from testcluster.errors import ClusterError
from testcluster.layout import Layout, default_state
from testcluster.programs import ensure, running

_Result = TypeVar("_Result")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line and a next step."""
    parser = argparse.ArgumentParser(prog="testcluster", description=__doc__)
    commands = {"up": up, "down": down, "status": status, "build": build}
    parser.add_argument("command", choices=commands)
    parser.add_argument("--state", type=Path, default=default_state(), help="the cluster's folder")
    parser.add_argument(
        "--control-plane-only", action="store_true", help="no node: beside a whole cluster"
    )
    chosen = parser.parse_args(arguments)
    layout = Layout(chosen.state.resolve(), control_plane_only=chosen.control_plane_only)
    try:
        return commands[chosen.command](layout)
    except ClusterError as error:
        sys.stderr.write(f"error: {error.message}\n\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return 1


def up(layout: Layout) -> int:
    """Bring up what is not up; on a healthy cluster this changes nothing."""
    _require_root(layout)
    begun = time.monotonic()
    build(layout)
    with _alone(layout):
        for folder in (layout.state, layout.run):
            folder.mkdir(parents=True, exist_ok=True)
        if not layout.control_plane_only:
            removal.claim(layout)
            network.up()
        parts = [lambda: _kubernetes(layout)]
        if not layout.control_plane_only:
            parts.append(lambda: _storage(layout))
        started = [name for names in _together(parts) for name in names]
        facts.write(layout)
    seconds = time.monotonic() - begun
    done = f"{len(started)} programs started" if started else "nothing to do"
    say(f"==> ready after {seconds:.1f} s ({done}); export KUBECONFIG={layout.kubeconfig}")
    return 0


def _kubernetes(layout: Layout) -> list[str]:
    say(f"==> control plane at {layout.url('apiserver', 'https')}")
    started = controlplane.up(layout)
    if layout.control_plane_only:
        return started
    say("==> node")
    started += node.up(layout)
    say("==> DNS, gateway, registry, Docker, Prometheus")
    dns.service(layout)
    gateway.objects(layout)
    started += ensure(
        layout,
        dns.program(layout),
        gateway.program(layout),
        *registry.programs(layout),
        *monitoring.programs(layout),
    )
    registry.base(layout)
    return started


def _storage(layout: Layout) -> list[str]:
    """Beside the rest, since MLflow takes longest to begin."""
    say("==> PostgreSQL, S3, MLflow")
    return storage.up(layout) + ensure(layout, storage.mlflow(layout))


def down(layout: Layout) -> int:
    """Leave no process, mount, interface, rule, cgroup or file of the cluster."""
    _require_root(layout)
    with _alone(layout):
        removal.remove(layout)
    say(f"==> {layout.state} is gone")
    return 0


def status(layout: Layout) -> int:
    """Print the facts and which programs run; 1 unless all do."""
    if not layout.facts.exists():
        say(f"no cluster in {layout.state}")
        return 1
    known = json.loads(layout.facts.read_text())
    records = sorted(path.stem for path in (layout.state / "run").glob("*.json"))
    pids = {name: running(layout, name) for name in records}
    for name, pid in pids.items():
        say(f"{name:20} {pid or 'NOT RUNNING'}")
    for name, value in known.items():
        say(f"{name:20} {value}")
    return 0 if all(pids.values()) else 1


def build(layout: Layout) -> int:
    """Make what is cached: the programs, and beside them the base image."""
    layout.cache.mkdir(parents=True, exist_ok=True)
    with _locked(layout.cache / "lock"):
        jobs: list[Callable[[], None]] = [lambda: builds.ensure(layout.cache)]
        if not layout.control_plane_only:
            jobs.append(lambda: images.ensure_base(layout.cache))
        _together(jobs)
    return 0


def _together(jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Run all at the same time; the first failure is raised when all have ended."""
    with ThreadPoolExecutor() as pool:
        return [job.result() for job in [pool.submit(job) for job in jobs]]


def _require_root(layout: Layout) -> None:
    needed = ["etcd", "openssl"]
    if not layout.control_plane_only:
        needed += ["containerd", "runc", "iptables", "debootstrap", "dockerd", "docker-registry"]
    missing = [name for name in needed if not shutil.which(name)]
    if os.geteuid() != 0:
        raise ClusterError("A Kubernetes node needs root.", "Use kind instead: make kind")
    if missing:
        raise ClusterError(
            f"Not installed: {', '.join(missing)}.", "On Debian 12: scripts/system-packages.sh"
        )


def _alone(layout: Layout) -> AbstractContextManager[None]:
    return _locked(Path("/run/schnitzel-testcluster") / f"{layout.id}.lock")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
