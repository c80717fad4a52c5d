"""Log to stderr, redacted, without waiting for the reader of stderr.

A thread writes from a bounded queue: lines that find the queue full are dropped and counted. The
same traceback is written once a minute, whatever clients do.
"""

from __future__ import annotations

import hashlib
import logging
import logging.handlers
import os
import queue
import re
import sys
import threading
import time
from contextlib import suppress
from traceback import format_exception
from typing import TYPE_CHECKING

from serving.telemetry.redact import shown, shown_end

if TYPE_CHECKING:
    from typing import TextIO

LINES_WAITING = 1_000
AGAIN_SECONDS = 60.0
KINDS = 100
"""Number of distinct tracebacks within AGAIN_SECONDS; all others count as one."""
_logger = logging.getLogger("serving")
_FRAME = re.compile(r'^ *File "(.{1,500}?)", line (\d+)', re.MULTILINE)


class BoundedQueueHandler(logging.handlers.QueueHandler):
    """Hands lines to the writing thread, and counts the lines that find its queue full."""

    def __init__(self, stream: TextIO, pattern: str, waiting: int = LINES_WAITING) -> None:
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(waiting)
        super().__init__(self._lines)
        self._stream, self._pattern = stream, logging.Formatter(pattern)
        self.dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a line into the queue, or count the line as dropped."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self, seconds: float = 1.0) -> None:
        """Wait until all lines are written, at most `seconds`: the reader may take nothing."""
        deadline = time.monotonic() + seconds
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and time.monotonic() < deadline:
                self._lines.all_tasks_done.wait(0.1)

    def close(self) -> None:
        """Write the remaining lines."""
        self.flush()
        super().close()

    def _write(self) -> None:
        reported = 0
        while True:
            record = self._lines.get()
            lines = [self._pattern.format(record)]
            if (dropped := self.dropped) > reported:
                lines.append(f"{dropped - reported} lines were dropped: the log is read too slowly")
                reported = dropped
            with suppress(OSError, ValueError):  # the reader of stderr has gone
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
            self._lines.task_done()


class Errors:
    """Gives each traceback an id; tracebacks that end in the same frames share an id."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float, int]] = {}

    def register(self, traceback: str, now: float) -> tuple[str, bool, int]:
        """Return a traceback's id, whether to write it, and how many came since the last write."""
        frames = _FRAME.findall(traceback)
        name = hashlib.sha256(repr(frames).encode("utf-8", "replace")).hexdigest()
        if name not in self._known and len(self._known) >= KINDS:
            self._known = {k: v for k, v in self._known.items() if now - v[1] < AGAIN_SECONDS}
            name = name if len(self._known) < KINDS else "others"
        found, written, count = self._known.get(name, ("", -AGAIN_SECONDS, 0))
        if found and now - written < AGAIN_SECONDS:
            self._known[name] = (found, written, count + 1)
            return found, False, 0
        found = os.urandom(6).hex()
        self._known[name] = (found, now, 0)
        return found, True, count


_errors = Errors()


def start(predictor: str) -> None:
    """Send the log to stderr, each line with time and predictor."""
    pattern = f"%(asctime)s %(levelname)s {predictor} %(message)s"
    _logger.addHandler(BoundedQueueHandler(sys.stderr, pattern.replace("{", "").replace("}", "")))
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def dropped() -> int:
    """Count the lines that were dropped because stderr is read too slowly."""
    return sum(each.dropped for each in _logger.handlers if isinstance(each, BoundedQueueHandler))


def say(message: str, *, level: int = logging.INFO) -> None:
    """Log one line."""
    _logger.log(level, "%s", shown(message))


def keep_exception(error: Exception) -> str:
    """Log an exception with its traceback, and return its id in the log."""
    return keep_traceback(f"{type(error).__name__}: {error}", "".join(format_exception(error)))


def keep_traceback(message: str, traceback: str) -> str:
    """Log a whole traceback, and return its id in the log.

    A traceback that ends in the same frames as another of the last minute shares its id, and is not
    written again: clients could fill a disk.
    """
    found, new, more = _errors.register(traceback, time.monotonic())
    if new:
        since = f" ({more} more of the error before it)" if more else ""
        text = shown_end(traceback).rstrip()
        _logger.error("error %s%s: %s\n%s", found, since, shown(message), text)
    return found
