"""Define what goes to a queue and what is read from one. Pure.

docs/reference/messages.md is the contract of these messages for people.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pamqp.commands import Basic

OURS: Final = "x-schnitzel-"
"""Headers with this prefix are the platform's."""

_OF_DELIVERY: Final = ("x-death", "x-first-death", "x-last-death", "x-delivery-count")
"""Prefixes of headers that the broker writes about the delivery of one message."""

SHOWN_BYTES: Final = 4096
"""The most of a body that is shown."""

PERSISTENT: Final = 2


@dataclass(frozen=True, slots=True)
class Depth:
    """The messages of a queue that are ready, and its consumers."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send; without an id it gets a new one."""

    body: bytes
    content_type: str = "application/json"
    message_id: str = ""
    correlation_id: str = ""

    def properties(self) -> Basic.Properties:
        """Build the properties of AMQP."""
        return Basic.Properties(
            content_type=self.content_type,
            message_id=self.message_id or uuid.uuid4().hex,
            correlation_id=self.correlation_id or None,
            delivery_mode=PERSISTENT,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits in a queue, as far as it is shown.

    Attributes:
        id: Its message id, else its correlation id; "" if it has neither.
        content_type: The type of the body.
        body: The first SHOWN_BYTES of the body, as text.
        size: The bytes of the whole body.
        redelivered: Whether it was delivered before.
        reason: Of a dead letter, why it is dead.
        message: Of a dead letter, the error.
        headers: All headers, their values as text.
    """

    id: str
    content_type: str
    body: str
    size: int
    redelivered: bool
    reason: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dead letters that are meant: by their ids, by their reasons; with neither, all.

    Of a queue that several sources share, only those from `source` are meant, and those of which
    nobody knows; "": from any.
    """

    ids: Collection[str] = ()
    reasons: Collection[str] = ()
    source: str = ""

    def has(self, properties: Basic.Properties) -> bool:
        """Return whether a message is one of them."""
        if self.source and _source_of(properties.headers) not in ("", self.source):
            return False
        if not self.ids and not self.reasons:
            return True
        return id_of(properties) in self.ids or reason_of(properties.headers) in self.reasons


def waiting(body: bytes, properties: Basic.Properties, *, redelivered: bool) -> Waiting:
    """Describe a message that waits."""
    headers = {str(name): _text(value) for name, value in (properties.headers or {}).items()}
    return Waiting(
        id_of(properties),
        properties.content_type or "",
        body[:SHOWN_BYTES].decode("utf-8", "replace"),
        len(body),
        redelivered,
        reason_of(properties.headers),
        headers.get(f"{OURS}message", ""),
        headers,
    )


def id_of(properties: Basic.Properties) -> str:
    """Return the id by which a message is known; "" if it has none."""
    return properties.message_id or properties.correlation_id or ""


def reason_of(headers: Mapping[str, Any] | None) -> str:
    """Return why a message is dead: as a model server says it, else as the broker does."""
    if not headers:
        return ""
    if said := headers.get(f"{OURS}reason"):
        return _text(said)
    return _text(_last_death(headers).get("reason", ""))


def revived(properties: Basic.Properties) -> Basic.Properties:
    """Return the properties of a dead letter without what was written about its death."""
    skipped = (OURS, *_OF_DELIVERY)
    headers = {
        name: value
        for name, value in (properties.headers or {}).items()
        if not name.lower().startswith(skipped)
    }
    return Basic.Properties(
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        message_type=properties.message_type,
        app_id=properties.app_id,
        timestamp=properties.timestamp,
        priority=properties.priority,
        delivery_mode=PERSISTENT,
        headers=headers,
    )


def _source_of(headers: Mapping[str, Any] | None) -> str:
    """Return the queue that a dead letter comes from; "" if nobody knows."""
    if not headers:
        return ""
    return _text(headers.get(f"{OURS}source") or _last_death(headers).get("queue", ""))


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the broker wrote when it gave a message up last."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    return last if isinstance(last, Mapping) else {}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
