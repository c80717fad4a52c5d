"""Run `up`, `down`, `status` or `build` for one cluster."""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
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
    roots,
    storage,
)
from testcluster.console import say, step
from testcluster.errors import ClusterError
from testcluster.layout import Layout, default_state
from testcluster.locks import locked
from testcluster.programs import ensure, running
from testcluster.stamps import once

_Result = TypeVar("_Result")
_CONTROL_PLANE = "control-plane"
_BUILDS: dict[str, Sequence[builds.Build]] = {
    _CONTROL_PLANE: builds.CONTROL_PLANE,
    **{build.module: [build] for build in (*builds.BUILDS, builds.COMPOSE)},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line and a next step."""
    parser = argparse.ArgumentParser(prog="testcluster", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "build"))
    names = [*_BUILDS, "base"]
    parser.add_argument("names", nargs="*", metavar="name", help=f"to build: {', '.join(names)}")
    parser.add_argument("--state", type=Path, default=default_state(), help="the cluster's folder")
    parser.add_argument(
        "--control-plane-only", action="store_true", help="no node: beside a whole cluster"
    )
    parser.add_argument("--images", action="store_true", help="down: delete the images as well")
    chosen = parser.parse_args(arguments)
    if chosen.names and chosen.command != "build":
        parser.error(f"{chosen.command} takes no names")
    if unknown := set(chosen.names) - set(names):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}")
    layout = Layout(chosen.state.resolve(), control_plane_only=chosen.control_plane_only)
    try:
        match chosen.command:
            case "build":
                return build(layout, chosen.names)
            case "down":
                return down(layout, images=chosen.images)
            case "up":
                return up(layout)
        return status(layout)
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
    with step(f"control plane at {layout.url('apiserver', 'https')}", "5 s"):
        if layout.control_plane_only:
            started = controlplane.up(layout)
            gateway.crds(layout)
            return started
        _, started = _together([lambda: _roots(layout), lambda: controlplane.up(layout)])
    with step("node", "5 s"):
        started += node.up(layout)
    with step("DNS, gateway, registry, Docker, Prometheus", "10 s"):
        for names in _together([lambda: _pods_need(layout), lambda: registry.up(layout)]):
            started += names
    return started


def _roots(layout: Layout) -> list[str]:
    once(layout, "roots", "", lambda: roots.prepare(layout))
    return []


def _pods_need(layout: Layout) -> list[str]:
    dns.service(layout)
    gateway.crds(layout)
    gateway.objects(layout)
    return ensure(
        layout, dns.program(layout), gateway.program(layout), *monitoring.programs(layout)
    )


def _storage(layout: Layout) -> list[str]:
    """Beside the rest, since MLflow takes longest to begin."""
    with step("PostgreSQL, S3, MLflow", "25 s, beside the others"):
        return storage.up(layout) + ensure(layout, storage.mlflow(layout))


def down(layout: Layout, images: bool = False) -> int:
    """Leave no process, mount, interface, rule, cgroup or file of the cluster, but for images."""
    _require_root(layout)
    with _alone(layout):
        removal.remove(layout)
        if images:
            roots.remove(layout)
    say(f"==> {layout.state} is gone")
    if not images and layout.roots.exists():
        say(f"    its images are kept in {layout.roots}; `down --images` deletes them")
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


def build(layout: Layout, names: Sequence[str] = ()) -> int:
    """Make what is to be cached: programs one after the other, and the base image beside them."""
    if layout.control_plane_only:
        names = [_CONTROL_PLANE]
    wanted = [build for name in names for build in _BUILDS.get(name, ())]
    if not names:
        wanted += builds.BUILDS
    jobs: list[Callable[[], None]] = [lambda: builds.ensure(layout.cache, wanted)]
    if "base" in names or not names:
        jobs.append(lambda: images.ensure_base(layout.cache))
    _together(jobs)
    return 0


def _together(jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Run all at the same time; the first failure is raised when all have ended."""
    with ThreadPoolExecutor() as pool:
        return [job.result() for job in [pool.submit(job) for job in jobs]]


def _require_root(layout: Layout) -> None:
    needed = ["openssl"]
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
    return locked(Path("/run/schnitzel-testcluster") / f"{layout.id}.lock")
