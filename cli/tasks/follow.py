"""Follow a log: print each new line once, until the user interrupts."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from cli.clients.retry import with_retries
from cli.views.output import say, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.clients.deployments import Log

POLL_SECONDS = 0.5


def follow(read: Callable[[], Log]) -> NoReturn:
    """Print a log and the lines added to it, across restarts of the Deployer.

    Args:
        read: returns the last lines, always as many.

    Raises:
        Unreachable: the Deployer does not answer the first request.
    """
    log = read()
    before = log.text.splitlines()
    predictor = log.predictor
    say(f"following {predictor}; Ctrl-C ends it" if predictor else "no log lines yet; waiting")
    _print(before)
    look = with_retries(read, say, math.inf, answered=True)
    while True:
        time.sleep(POLL_SECONDS)
        log = look()
        if log.predictor != predictor:
            predictor, before = log.predictor, []
            say(f"following {predictor}")
        now = log.text.splitlines()
        _print(new_lines(before, now))
        before = now


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Find the new lines: those after the longest overlap of the old end and the new beginning.

    Both are ends of one log, so the new text is the end of the old text and the added lines. With
    no overlap (more was written than is read, or the file was begun anew) all lines are new.
    """
    for kept in range(min(len(before), len(now)), 0, -1):
        if now[kept - 1] == before[-1] and list(now[:kept]) == list(before[-kept:]):
            return list(now[kept:])
    return list(now)


def _print(lines: Sequence[str]) -> None:
    if lines:
        write("\n".join(lines))
        sys.stdout.flush()
