"""In: /proc. Out: which processes exist, whose they are, and their end.

A process is named by its pid and its start time (clock ticks since boot, field 22 of
/proc/<pid>/stat, proc(5)): a pid alone is given again to strangers. Signals go through a
pidfd, opened before the start time is compared, so that nothing can be exchanged in between.
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
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    session: int
    start: int
    """Clock ticks since boot."""


class Record(NamedTuple):
    """A program's first process, as kept on file."""

    boot: str
    """The kernel's boot id: after a reboot no record is about a living process."""
    pid: int
    group: int
    session: int
    start: int


def entry(pid: int) -> Entry | None:
    """The process with this pid, or None if there is none or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - the launcher starts faster without pathlib
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Entry(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def table() -> dict[int, Entry]:
    """All living processes by pid."""
    found = (entry(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - as above
    return {process.pid: process for process in found if process is not None}


def boot_id() -> str:
    """This boot of this machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read().strip()


def write_record(path: str) -> None:
    """Keep on file who the calling process is; exec() changes neither pid nor start time."""
    me = entry(os.getpid())
    if me is None:
        return
    temporary = f"{path}.{me.pid}"
    with open(temporary, "w", encoding="ascii") as file:  # noqa: PTH123 - as above
        json.dump(Record(boot_id(), me.pid, me.group, me.session, me.start)._asdict(), file)
    os.replace(temporary, path)  # noqa: PTH105 - as above


def read_record(path: str) -> Record | None:
    """What is on file, or None if nothing is, it is torn, or it is from another boot."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as above
            record = Record(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.boot == boot_id() else None


def marked(processes: Iterable[Entry], variable: str, prefix: str) -> set[int]:
    """The pids whose environment at their start had `variable` beginning with `prefix`.

    Those of other users cannot be read and are left out.
    """
    wanted = f"\0{variable}={prefix}".encode()
    found = set()
    for process in processes:
        with suppress(OSError), open(f"/proc/{process.pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            if wanted in b"\0" + file.read():
                found.add(process.pid)
    return found


def family(record: Record, processes: dict[int, Entry]) -> set[int]:
    """The pids of a recorded process (if it still is that process) and of its process group.

    The group counts without its leader too: a pid is not given again while a group of that
    number has members, so such a group is the recorded one if its session is the recorded one.
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
    """These pids and all their children's children, whatever group or session they went to."""
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
    """This pid and its parents' parents."""
    found: set[int] = set()
    while pid in processes and pid not in found:
        found.add(pid)
        pid = processes[pid].parent
    return found


def end(targets: Iterable[Entry], grace: float) -> None:
    """Ask these very processes to stop, kill those left after `grace` seconds, see them gone."""
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
    """End what `find` finds, again until it finds nothing: children may be born meanwhile."""
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
