"""What went wrong goes in; redacted lines on stderr, and an id to find them by, come out."""

from __future__ import annotations

import logging
import os
import sys

from serving.telemetry.redact import redact

_logger = logging.getLogger("serving")


def start(predictor: str) -> None:
    """Send the log to stderr, each line with time and predictor."""
    handler = logging.StreamHandler(sys.stderr)
    pattern = f"%(asctime)s %(levelname)s {predictor} %(message)s"
    handler.setFormatter(logging.Formatter(pattern.replace("{", "").replace("}", "")))
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def say(message: str, *, level: int = logging.INFO) -> None:
    """Log one line."""
    _logger.log(level, "%s", redact(message))


def keep_traceback(message: str, traceback: str) -> str:
    """Log a whole traceback; return the id that stands beside it."""
    found = os.urandom(6).hex()
    _logger.error("error %s: %s\n%s", found, redact(message), redact(traceback).rstrip())
    return found
