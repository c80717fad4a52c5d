"""Waiting by looking, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

LOOKS = 9
"""A pause is so many times as long as the look before: the cores are for what is tested."""


def wait_for(
    look: Callable[[], Value | None], what: str = "it", seconds: float = 180, every: float = 0.05
) -> Value:
    """Wait until `look` gives something true; the error says for what, and what was seen last.

    A look that takes long is seldom taken.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while (began := time.monotonic()) < deadline:
        last = look()
        if last:
            return last
        time.sleep(max(every, min(1.0, LOOKS * (time.monotonic() - began))))
    raise AssertionError(f"waited {seconds:g} s in vain for {what}; seen last: {last!r}")
