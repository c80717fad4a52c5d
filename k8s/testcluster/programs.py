"""Run a program, and restart it when its command or what it reads changes.

Each has a cgroup of its own, so that all that it started is found again whatever happened to the
one who started it, and a record of its first process (pid, start time, boot) with a hash of its
command and configuration: who finds the record true leaves the program alone.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from stack.files import write_private
from stack.supervision.processes import boot_id, entry
from testcluster import cgroups
from testcluster.console import say
from testcluster.errors import ClusterError
from testcluster.layout import Layout


@dataclass(frozen=True)
class Program:
    """A server to run.

    Attributes:
        name: also of its log, its record and its cgroup.
        command: the first argument is a path or found on PATH.
        ready: whether it answers.
        reads: configuration files; a change of one restarts the program.
        environment: beside the caller's.
        user: "" for root.
        outlived: its children go on without it (containerd's shims), and it finds them again.
        grace: seconds between SIGTERM and SIGKILL.
        patience: seconds until it must be ready.
    """

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], bool]
    reads: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    outlived: bool = False
    grace: float = 5.0
    patience: float = 90.0

    @property
    def digest(self) -> str:
        """Changes with everything that a restart would take up."""
        content = [path.read_text() for path in self.reads]
        found = shutil.which(self.command[0]) or self.command[0]
        binary = str(Path(found).resolve())  # a link's target changes with a build
        parts = [binary, *map(str, self.command), content, dict(self.environment), self.user]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Record(NamedTuple):
    """A program's first process, as kept on file; `start` is in clock ticks since boot."""

    boot: str
    pid: int
    start: int
    digest: str


def answers(url: str, trust: Path | None = None) -> bool:
    """Whether a GET gets a 2xx or 3xx answer within two seconds."""
    import ssl  # noqa: PLC0415 - costs 20 ms, and a healthy cluster asks only by HTTP

    context = ssl.create_default_context(cafile=trust) if trust else None
    try:
        with urlopen(url, timeout=2, context=context) as answer:  # noqa: S310 - our own servers
            return bool(200 <= answer.status < 400)
    except (URLError, OSError, ValueError):
        return False


def running(layout: Layout, name: str) -> int | None:
    """The pid of a program's first process, or None if it does not run."""
    record = _record(layout, name)
    if record is None or record.boot != boot_id():
        return None
    process = entry(record.pid)
    return record.pid if process is not None and process.start == record.start else None


def ensure(layout: Layout, *programs: Program) -> list[str]:
    """Start what does not run or runs with another configuration, wait until all are ready.

    Returns:
        The names of those started.

    Raises:
        ClusterError: one ended or was not ready in time; with the last lines of its log.
    """
    started = [program for program in programs if not _current(layout, program)]
    for program in started:
        say(f"    {program.name}")
        _start(layout, program)
    for program in programs:
        _wait(layout, program)
    return [program.name for program in started]


def stop(layout: Layout, program: Program) -> None:
    """End a program, and forget it."""
    cgroups.end(_cgroup(layout, program.name), program.grace)
    _record_path(layout, program.name).unlink(missing_ok=True)


def _current(layout: Layout, program: Program) -> bool:
    record = _record(layout, program.name)
    alive = running(layout, program.name) is not None
    return alive and record is not None and record.digest == program.digest


def _start(layout: Layout, program: Program) -> None:
    name = _cgroup(layout, program.name)
    pid, record = running(layout, program.name), _record(layout, program.name)
    if program.outlived and record is not None:
        spared = frozenset(cgroups.members(name)) - ({pid} if pid else set())
    else:
        spared = frozenset()
    cgroups.end(name, program.grace, spared)
    layout.logs.mkdir(parents=True, exist_ok=True)
    # The shell puts itself into the cgroup before it becomes the program, so that nothing that
    # the program does can happen outside.
    script = f'echo $$ > {shlex.quote(str(cgroups.account(name)))} && exec "$@"'
    user = program.user
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    with (layout.logs / f"{program.name}.log").open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", *as_user, *map(str, program.command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**_kept(os.environ), **program.environment},
            cwd="/" if user else layout.state,
            start_new_session=True,
        )
    found = entry(process.pid)
    if found is not None:
        kept = _Record(boot_id(), found.pid, found.start, program.digest)
        path = _record_path(layout, program.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(kept._asdict()))


def _wait(layout: Layout, program: Program) -> None:
    deadline = time.monotonic() + program.patience
    while not program.ready():
        if running(layout, program.name) is None:
            raise _failed(layout, program, "ended")
        if time.monotonic() > deadline:
            raise _failed(layout, program, f"was not ready after {program.patience:g} s")
        time.sleep(0.1)


def _failed(layout: Layout, program: Program, what: str) -> ClusterError:
    log = layout.logs / f"{program.name}.log"
    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    return ClusterError(f"{program.name} {what}:\n{last}", f"Read {log}.")


def _record(layout: Layout, name: str) -> _Record | None:
    with suppress(OSError, ValueError, TypeError):
        return _Record(**json.loads(_record_path(layout, name).read_text()))
    return None


def _record_path(layout: Layout, name: str) -> Path:
    return layout.state / "run" / f"{name}.json"


def _cgroup(layout: Layout, name: str) -> str:
    return f"{layout.cgroup}/programs/{name}"


def _kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what tests mark their own processes with: a program outlives its starter."""
    return {k: v for k, v in environment.items() if not k.startswith(("PYTEST_", "LANES_"))}
