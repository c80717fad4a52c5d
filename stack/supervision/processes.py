"""List the processes in /proc, attribute them to programs, and end them.

A process is identified by its pid and its start time (clock ticks since boot, field 22 of
/proc/<pid>/stat, proc(5)): the kernel gives a pid alone to another process later. Signals go
through a pidfd, opened before the start time is compared, so that no other process can take the pid
in between.
"""

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

# The variable holds "<hash of the supervisor's folder>:<program>".
MARKER = "SCHNITZEL_SUPERVISED"


class Entry(NamedTuple):
    """A living process of the process table."""

    pid: int
    parent: int
    group: int
    session: int
    start: int
    """Clock ticks since boot."""


class Record(NamedTuple):
    """A program's first process as recorded on file."""

    boot: str
    """The kernel's boot id: after a reboot no record matches a living process."""
    pid: int
    group: int
    session: int
    start: int


def entry(pid: int) -> Entry | None:
    """Read the process with a pid; None if there is none or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - the launcher starts faster without pathlib
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Entry(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def table() -> dict[int, Entry]:
    """Read all living processes by pid."""
    found = (entry(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - as above
    return {process.pid: process for process in found if process is not None}


def boot_id() -> str:
    """Read the id of this machine's current boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read().strip()


def write_record(path: str) -> None:
    """Record the calling process; exec() changes neither its pid nor its start time."""
    me = entry(os.getpid())
    if me is None:
        return
    temporary = f"{path}.{me.pid}"
    with open(temporary, "w", encoding="ascii") as file:  # noqa: PTH123 - as above
        json.dump(Record(boot_id(), me.pid, me.group, me.session, me.start)._asdict(), file)
    os.replace(temporary, path)  # noqa: PTH105 - as above


def read_record(path: str) -> Record | None:
    """Read a record; None if it is missing, torn, or from another boot."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as above
            record = Record(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.boot == boot_id() else None


def marked(processes: Iterable[Entry], variable: str, prefix: str) -> set[int]:
    """Find the pids whose variables at their start had `variable` beginning with `prefix`.

    Processes of other users cannot be read and are left out.
    """
    wanted = f"\0{variable}={prefix}".encode()
    found = set()
    for process in processes:
        with suppress(OSError), open(f"/proc/{process.pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            if wanted in b"\0" + file.read():
                found.add(process.pid)
    return found


def family(record: Record, processes: dict[int, Entry]) -> set[int]:
    """Find the pids of a recorded process, if it is still that process, and of its process group.

    The group counts without its leader too: the kernel does not reuse a pid while a group of that
    number has members, so such a group is the recorded group if its session is the recorded one.
    """
    leader = processes.get(record.pid)
    if leader is not None and leader.start != record.start:
        return set()
    return {
        process.pid
        for process in processes.values()
        if process.pid == record.pid
        or (
            (process.group, process.session) == (record.group, record.session)
            and process.start >= record.start
        )
    }


def with_descendants(pids: set[int], processes: dict[int, Entry]) -> set[int]:
    """Add all descendants to the pids, whatever their group or session."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def ancestors(pid: int, processes: dict[int, Entry]) -> set[int]:
    """Find a pid's ancestors, including itself."""
    found: set[int] = set()
    while pid in processes and pid not in found:
        found.add(pid)
        pid = processes[pid].parent
    return found


def end(targets: Iterable[Entry], grace: float) -> None:
    """Send SIGTERM to the processes, SIGKILL after `grace` seconds, and wait for their end."""
    handles = []
    try:
        for target in targets:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(target.pid)
                now = entry(target.pid)
                if now is not None and now.start == target.start:
                    handles.append(handle)
                else:
                    os.close(handle)
        if grace > 0:
            _signal(handles, signal.SIGTERM)
            _wait(handles, grace)
        _signal(handles, signal.SIGKILL)
        _wait(handles, 5.0)
    finally:
        for handle in handles:
            os.close(handle)


def end_all(find: Callable[[], list[Entry]], grace: float) -> None:
    """End all processes that `find` returns, until it returns none, as children may be born."""
    for attempt in range(10):
        found = find()
        if not found:
            return
        end(found, grace if attempt == 0 else 0.0)


def _signal(handles: Iterable[int], number: signal.Signals) -> None:
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)


def _wait(handles: Iterable[int], seconds: float) -> None:
    poll = select.poll()
    waiting = set(handles)
    for handle in waiting:
        poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            waiting.discard(handle)
