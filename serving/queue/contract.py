"""Define what a message asks, and what a result and a dead letter say. Pure.

docs/reference/messages.md is this contract for people.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pamqp.commands import Basic

from serving.inference import INFER, INVOCATIONS, Question
from serving.telemetry.redact import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.predictor import Destination, Predictor
    from serving.protocols.answer import Answer

OIP = "application/vnd.oip+json"
"""The content type of a message in the Open Inference Protocol; every other is MLflow's."""
PERSISTENT = 2
OURS = "x-schnitzel-"
"""Headers with this prefix are the platform's: those of an input are not passed on."""
_NOT_PASSED_ON = ("x-death", "x-first-death", "x-last-death", "x-delivery-count")
"""Prefixes of headers that the broker writes about the delivery of one message."""
_NAMESPACE = uuid.UUID("6a0c5a5f-2b1e-5d0c-9c39-0f7c1d7f4d2b")
_REPLIES = ("amq.rabbitmq.reply-to.", "amq.gen-")
"""Queues that belong to one client: a message may name no other for its reply."""
_REPLY = -1
"""The index of a reply among the destinations."""
_FIELD = re.compile(r"\{prediction(?:\.([^{}]+))?\}")
_IN_A_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class Message(NamedTuple):
    """A message to publish."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Basic.Properties


class Input(NamedTuple):
    """A message of the source queue.

    Attributes:
        name: the id that its sender gave it, else a new one, so that doubles of it differ.
        redelivered: whether it was delivered before, to a server that may have died of it.
    """

    body: bytes
    properties: Basic.Properties
    name: str
    redelivered: bool

    @property
    def question(self) -> Question:
        """The question that it asks; a redelivered message is asked alone."""
        kind = (self.properties.content_type or "application/json").strip()
        protocol = INFER if kind.partition(";")[0].strip().lower() == OIP else INVOCATIONS
        content_type = (
            b"application/json" if protocol == INFER else kind.encode("latin-1", "replace")
        )
        return Question(protocol, content_type, self.body, self.name, alone=self.redelivered)


def received(body: bytes, properties: Basic.Properties, *, redelivered: bool) -> Input:
    """Take in a delivered message."""
    name = properties.message_id or properties.correlation_id or uuid.uuid4().hex
    return Input(body, properties, name, redelivered)


def result_id(source: str, name: str, index: int) -> str:
    """Return the message id of a result: the same for the same input, whatever version answers."""
    return str(uuid.uuid5(_NAMESPACE, f"{source}\0{name}\0{index}"))


def routing_key(to: Destination, answer: Answer) -> str:
    """Return the routing key of an answer: `other` where a prediction fits into none."""
    if "{" not in to.routing_key:
        return to.routing_key
    content = _content(answer.body)

    def filled(found: re.Match[str]) -> str:
        text = _text(_first(content, found[1]))
        if not _IN_A_KEY.fullmatch(text):
            raise LookupError
        return text

    try:
        key = _FIELD.sub(filled, to.routing_key)
    except LookupError:
        return to.other
    return key if len(key) <= 255 else to.other


def reply_queue(asked: Input) -> str:
    """Return the queue that the sender awaits its answer in; empty: none that may be used."""
    name = asked.properties.reply_to or ""
    return name if name.startswith(_REPLIES) else ""


class Writer:
    """Builds the messages that one predictor publishes."""

    def __init__(self, predictor: Predictor, source: str) -> None:
        self._source = source
        self._headers = {
            f"{OURS}model": predictor.model,
            f"{OURS}version": predictor.model_version,
            f"{OURS}environment": predictor.environment,
            f"{OURS}predictor": predictor.predictor,
        }

    def result(
        self, to: Destination, index: int, answer: Answer, asked: Input, prediction: str
    ) -> Message:
        """Build the result for a destination.

        Args:
            to: the destination.
            index: which of the predictor's destinations it is.
            answer: the model's answer.
            asked: the input.
            prediction: the id of this answer, the same in all of its results.
        """
        properties = self._properties(answer, asked, prediction, index)
        return Message(to.exchange, routing_key(to, answer), answer.body, properties)

    def reply(self, queue: str, answer: Answer, asked: Input, prediction: str) -> Message:
        """Build the answer, or the error, for the queue of one client."""
        properties = self._properties(answer, asked, prediction, _REPLY)
        return Message("", queue, answer.body, properties)

    def dead_letter(self, queue: str, asked: Input, reason: str, answer: Answer) -> Message:
        """Build the dead letter of a message: its own body and properties, and why it is dead."""
        said: dict[str, Any] = {
            f"{OURS}reason": reason,
            f"{OURS}message": _message(answer),
            f"{OURS}status": answer.status,
            f"{OURS}source": self._source,
            f"{OURS}dead-at": int(time.time()),
        }
        own = asked.properties
        properties = Basic.Properties(
            content_type=own.content_type,
            content_encoding=own.content_encoding,
            message_id=own.message_id,
            correlation_id=own.correlation_id,
            reply_to=own.reply_to,
            message_type=own.message_type,
            app_id=own.app_id,
            timestamp=own.timestamp,
            priority=own.priority,
            delivery_mode=PERSISTENT,
            headers={**_passed_on(own.headers), **self._headers, **said},
        )
        return Message("", queue, asked.body, properties)

    def _properties(
        self, answer: Answer, asked: Input, prediction: str, index: int
    ) -> Basic.Properties:
        own = asked.properties
        said: dict[str, Any] = {
            f"{OURS}input-id": asked.name,
            f"{OURS}prediction-id": prediction,
            f"{OURS}status": answer.status,
        }
        if asked.redelivered:
            said[f"{OURS}redelivered"] = True
        return Basic.Properties(
            content_type=answer.content_type.decode("latin-1"),
            message_id=result_id(self._source, asked.name, index),
            correlation_id=own.correlation_id or asked.name,
            message_type="prediction" if answer.status < 400 else "error",
            app_id="schnitzel",
            delivery_mode=PERSISTENT,
            headers={**_passed_on(own.headers), **self._headers, **said},
        )


def _passed_on(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the sender's own headers, `traceparent` among them."""
    skipped = (OURS, *_NOT_PASSED_ON)
    return {
        name: value
        for name, value in (headers or {}).items()
        if not name.lower().startswith(skipped)
    }


def _message(answer: Answer) -> str:
    content = _content(answer.body)
    said = content.get("message") or content.get("error") if isinstance(content, dict) else ""
    return shown(str(said or ""))[:300]


def _content(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _first(content: Any, column: str | None) -> Any:
    """Return the first prediction, or one column of it, in either protocol."""
    if not isinstance(content, dict):
        return None
    if isinstance(outputs := content.get("outputs"), list):
        chosen = [o for o in outputs if column is None or o.get("name") == column]
        values = chosen[0].get("data") if chosen else None
        return values[0] if isinstance(values, list) and values else None
    rows = content.get("predictions")
    first = rows[0] if isinstance(rows, list) and rows else rows
    if column is None:
        return first
    return first.get(column) if isinstance(first, dict) else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""
