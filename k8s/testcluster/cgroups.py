"""Make and remove cgroups, and find and end the processes in them.

A process cannot leave its cgroup by forking or by a new session, and a pid read from one is
checked again once a pidfd holds it: what is killed here is what was started here. Works with
cgroup v1, where one hierarchy keeps the account, and v2 (cgroups(7)).
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from testcluster.errors import ClusterError

_CONTROLLERS = "+cpu +cpuset +io +memory +pids"


@cache
def hierarchies() -> dict[str, Path]:
    """Every mounted hierarchy's root, by controllers; "" for version 2 (proc_pid_mountinfo(5))."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = Path(left.split()[4])
        if kind == "cgroup2":
            found[""] = point
        elif kind == "cgroup":
            names = {option.removeprefix("name=") for option in options.split(",")} - {"rw"}
            found[",".join(sorted(names))] = point
    return found


@cache
def accounts() -> Path:
    """The root of the hierarchy in which processes are kept account of."""
    found = hierarchies()
    for controllers, point in found.items():
        if "pids" in controllers.split(","):
            return point
    if "" in found:
        return found[""]
    raise ClusterError("No cgroup hierarchy is mounted.", "Run on a machine with cgroup v1 or v2.")


def make(name: str) -> None:
    """Make a cgroup in every hierarchy, ready for the kubelet to make its own below it."""
    for controllers, point in hierarchies().items():
        for step in _steps(point, name):
            step.mkdir(exist_ok=True)
            if controllers == "" and len(hierarchies()) == 1:
                with suppress(OSError):
                    (step.parent / "cgroup.subtree_control").write_text(_CONTROLLERS)
                    (step / "cgroup.subtree_control").write_text(_CONTROLLERS)
            if "cpuset" in controllers.split(","):
                _inherit_cpuset(step)


def account(name: str) -> Path:
    """The file that a process writes its pid to, to belong to a cgroup; made if it is not there."""
    folder = accounts() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "cgroup.procs"


def members(name: str) -> list[int]:
    """The pids in a cgroup and in those below it."""
    found = []
    for folder in _below(accounts() / name):
        with suppress(OSError):
            found += [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    return found


def end(name: str, grace: float, spared: frozenset[int] = frozenset()) -> None:
    """Ask all processes of a cgroup to stop, kill those left after `grace` seconds.

    Raises:
        ClusterError: some are still there after ten seconds of SIGKILL.
    """
    asked: set[int] = set()
    polite = time.monotonic() + grace
    deadline = polite + 10
    while left := set(members(name)) - spared:
        now = time.monotonic()
        if now > deadline:
            raise ClusterError(f"Processes of {name} do not end: {sorted(left)}.")
        for pid in left:
            if now >= polite:
                _signal(name, pid, signal.SIGKILL)
            elif pid not in asked:
                _signal(name, pid, signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.05)


def remove(name: str) -> None:
    """Remove a cgroup without processes and those below it, in every hierarchy.

    Raises:
        ClusterError: one is still there after five seconds.
    """
    deadline = time.monotonic() + 5
    while left := [point / name for point in hierarchies().values() if (point / name).exists()]:
        for top in left:
            for folder in reversed(list(_below(top))):
                with suppress(OSError):
                    folder.rmdir()
        if time.monotonic() > deadline:
            raise ClusterError(f"These cgroups cannot be removed: {', '.join(map(str, left))}.")
        time.sleep(0.02)
    for point in hierarchies().values():
        with suppress(OSError):  # another cluster's is still in it
            (point / name).parent.rmdir()


def _signal(name: str, pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if pid in members(name):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _steps(point: Path, name: str) -> Iterator[Path]:
    step = point
    for part in name.split("/"):
        step /= part
        yield step


def _below(folder: Path) -> Iterator[Path]:
    """A folder and all below it, parents first."""
    if folder.is_dir():
        for path, _, _ in os.walk(folder):
            yield Path(path)


def _inherit_cpuset(folder: Path) -> None:
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / setting).read_text().strip():
            (folder / setting).write_text((folder.parent / setting).read_text())
