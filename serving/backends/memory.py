"""Measure the memory of a process and its descendants.

proc(5): statm, smaps_rollup, task/*/children.
"""

from __future__ import annotations

import os
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """Return a process and its descendants that still live."""
    found = [pid]
    for each in found:  # grows while it is walked
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, _text(task).split())
    return found


def resident(pid: int) -> int:
    """Return the resident memory of a process and its descendants, in bytes.

    Shared memory counts for each process.
    """
    return sum(map(_resident, family(pid)))


def exceeds(pid: int, limit: int) -> int:
    """Return the bytes that a process and its descendants take if that exceeds `limit`, else 0.

    Shared memory counts once. That is slow to measure, so only if the cheaper sum exceeds `limit`.
    """
    known = family(pid)
    total = sum(map(_resident, known))
    if total > limit and len(known) > 1:
        total = sum(map(_proportional, known))
    return total if total > limit else 0


def _resident(pid: int) -> int:
    fields = _text(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * PAGE if fields else 0


def _proportional(pid: int) -> int:
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    found = next((line.split()[1] for line in lines if line.startswith("Pss:")), None)
    return int(found) * 1024 if found is not None else _resident(pid)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # the process has just ended
        return ""
