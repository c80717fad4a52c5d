"""Call a function every hour in a background thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from deployer.errors import SchnitzelError

log = logging.getLogger(__name__)

DAY: Final = 86400.0
"""Seconds; the use of a Python environment is recorded to the day."""

EVERY: Final = 3600.0
"""Seconds between calls."""


class Periodic:
    """A thread that calls a function every hour, the first time after an hour.

    Args:
        look: the function; quick. The next call makes up for one that raises.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="note-uses", daemon=True).start()

    def close(self) -> None:
        """Stop the calls."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(EVERY):
            try:
                self._look()
            except (SchnitzelError, OSError) as error:
                log.info("what is in use was not noted: %s", error)
