"""Find what tests left behind: their platforms outlive a pytest that was killed."""

from __future__ import annotations

import os

from stack.supervision.processes import Entry, marked, table

MARK = "LANES_RUN"
"""In the environment of all that tests start: "<pid of the run of lanes>:".

Not one of the names that a platform keeps from its programs.
"""
GRACE = 15.0
"""Seconds in which supervisors end their programs."""


def of_this_run() -> list[Entry]:
    """What tests of this run started."""
    now = table()
    return [now[pid] for pid in marked(now.values(), MARK, f"{os.getpid()}:")]


def left_behind() -> list[Entry]:
    """What tests of runs started that are no more."""
    now = table()
    found = {pid: now[pid] for pid in marked(now.values(), MARK, "") - {os.getpid()}}
    living = {pid for run in now for pid in marked(found.values(), MARK, f"{run}:")}
    return [found[pid] for pid in found.keys() - living]
