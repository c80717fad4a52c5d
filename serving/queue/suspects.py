"""Remember over the death of the server which message it died of.

A queue of RabbitMQ's classic kind says of a message that it was delivered before, not how often.
So a server keeps a journal beside its state file, of the one message that it asks alone because it
was delivered before: what stands there when a server begins, the last one died of. On Kubernetes
the folder is an emptyDir, which outlives the container. No other message is written down.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from serving.telemetry import log
from serving.telemetry.state import replace_file

if TYPE_CHECKING:
    from serving.queue.contract import Input

DELIVERIES = 15
"""Deliveries after which a message of a quorum queue is dead, wherever they ended. RabbitMQ 4 drops
it at 20, or dead-letters it without a reason: https://www.rabbitmq.com/docs/quorum-queues"""
REMEMBERED = 100
"""Messages in the journal, of which most were answered by another server since."""


class Suspects:
    """The journal of one server.

    Args:
        path: where it is kept.
        attempts: deaths of a server with one message alone, after which the message is dead.
    """

    def __init__(self, path: Path, attempts: int) -> None:
        self._path, self._attempts = path, attempts
        self._deaths = _read(path)

    def guilty(self, asked: Input) -> str:
        """Return why a message is not asked again; empty: it is."""
        if asked.redelivered and self._deaths.get(_key(asked), 0) >= self._attempts:
            return f"the server died {self._attempts} times while it asked the model this alone"
        if asked.delivery_count >= DELIVERIES:
            return f"it was delivered {asked.delivery_count} times before, and never answered"
        return ""

    def begin(self, asked: Input) -> None:
        """Write down that a message is asked alone: only `end` takes that back."""
        key = _key(asked)
        self._deaths[key] = self._deaths.pop(key, 0) + 1
        while len(self._deaths) > REMEMBERED:
            del self._deaths[next(iter(self._deaths))]
        self._write()

    def end(self, asked: Input, *, answered: bool) -> None:
        """Write down that the server lives; an answered message is forgotten."""
        key = _key(asked)
        deaths = self._deaths.pop(key, 1) - 1
        if deaths and not answered:
            self._deaths[key] = deaths
        self._write()

    def _write(self) -> None:
        try:
            replace_file(self._path, json.dumps(self._deaths))
        except OSError as error:  # the messages are answered all the same
            log.say(f"{self._path} cannot be written: {error}", level=logging.WARNING)


def _key(asked: Input) -> str:
    """Return what a message is known by: its content, since an id may be given twice."""
    digest = hashlib.sha256(asked.properties.message_id.encode("utf-8", "surrogateescape"))
    digest.update(b"\0")
    digest.update(asked.body)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return {key: deaths for key, deaths in content.items() if isinstance(deaths, int)}
    return {}
