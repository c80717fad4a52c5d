"""Call a function again and again in a background thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from deployer.errors import SchnitzelError

log = logging.getLogger(__name__)

DAY: Final = 86400.0
"""Seconds; the use of a Python environment is recorded to the day."""

HOUR: Final = 3600.0


class Periodic:
    """A thread that calls a function, the first time after one period.

    Args:
        look: the function; quick. The next call makes up for one that raises.
        name: the name of the thread.
        seconds: the pause before each call.
    """

    def __init__(self, look: Callable[[], None], name: str, seconds: float = HOUR) -> None:
        self._look = look
        self._name = name
        self._seconds = seconds
        self._closed = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def close(self) -> None:
        """Stop the calls."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._look()
            except (SchnitzelError, OSError) as error:
                log.info("%s: %s", self._name, error)
            except Exception:  # the end of this thread would go unnoticed
                if not self._closed.is_set():
                    log.exception("%s failed", self._name)
