"""The end of a log, again and again, in; each new line once, until somebody interrupts, out."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from cli.clients.retry import patiently
from cli.views.output import say, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.clients.deployments import Log

POLL_SECONDS = 0.5


def follow(read: Callable[[], Log]) -> NoReturn:
    """Print a log and what is added to it; a Deployer that restarts meanwhile is waited for.

    Args:
        read: returns the last lines, always as many.

    Raises:
        Unreachable: the Deployer does not answer at the first time of asking.
    """
    log = read()
    before = log.text.splitlines()
    predictor = log.predictor
    say(f"following {predictor}; Ctrl-C ends it" if predictor else "no log lines yet; waiting")
    _print(before)
    look = patiently(read, say, math.inf, answered=True)
    while True:
        time.sleep(POLL_SECONDS)
        log = look()
        if log.predictor != predictor:
            predictor, before = log.predictor, []
            say(f"following {predictor}")
        now = log.text.splitlines()
        _print(added(before, now))
        before = now


def added(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Find the lines that came since: what follows the longest overlap of old end and new begin.

    Both are ends of one log, so that the new one is the old one's end and what was added. With no
    overlap (more was written than is read, or the file was begun anew) all lines are new.
    """
    for kept in range(min(len(before), len(now)), 0, -1):
        if now[kept - 1] == before[-1] and list(now[:kept]) == list(before[-kept:]):
            return list(now[kept:])
    return list(now)


def _print(lines: Sequence[str]) -> None:
    if lines:
        write("\n".join(lines))
        sys.stdout.flush()
