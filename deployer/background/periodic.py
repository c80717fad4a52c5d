"""In: a look at what is in use. Out: the look is taken again and again, until it is closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from deployer.errors import SchnitzelError

log = logging.getLogger(__name__)

DAY: Final = 86400.0
"""Seconds; the use of an environment is written down to the day."""

EVERY: Final = 3600.0
"""Seconds between looks."""


class Periodic:
    """Takes a look every hour, the first after an hour.

    Args:
        look: quick; what it raises is taken up by the next look.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="note-uses", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(EVERY):
            try:
                self._look()
            except (SchnitzelError, OSError) as error:
                log.info("what is in use was not noted: %s", error)
