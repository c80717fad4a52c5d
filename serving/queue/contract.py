"""Define what a message asks, and what a result and a dead letter say. Pure.

docs/reference/messages.md is this contract for people.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from serving.inference import INFER, INVOCATIONS, Question
from serving.queue.amqp import wire
from serving.queue.amqp.wire import Message, Properties
from serving.telemetry.redact import shown

if TYPE_CHECKING:
    from serving.predictor import Destination, Predictor
    from serving.protocols.answer import Answer

OIP = "application/vnd.oip+json"
"""The content type of a message in the Open Inference Protocol; every other is MLflow's."""
PERSISTENT = 2
OURS = "x-schnitzel-"
"""Headers with this prefix are the platform's: those of an input are not passed on."""
DELIVERY_COUNT = "x-delivery-count"
"""The header in which a quorum queue counts how often it delivered a message before."""
_NOT_PASSED_ON = ("x-death", "x-first-death", "x-last-death", DELIVERY_COUNT)
"""Prefixes of headers that the broker writes about the delivery of one message."""
_OF_OTHERS = re.compile("|".join((OURS, *_NOT_PASSED_ON)).encode(), re.IGNORECASE)
"""Where it is not in the bytes of a table, every header is passed on as it is."""
_NAMESPACE = hashlib.sha1(
    uuid.UUID("6a0c5a5f-2b1e-5d0c-9c39-0f7c1d7f4d2b").bytes, usedforsecurity=False
)
_IDS = random.Random(os.urandom(32))  # noqa: S311 - no secret
_REPLIES = ("amq.rabbitmq.reply-to.", "amq.gen-")
"""Queues that belong to one client: a message may name no other for its reply."""
_REPLY = -1
"""The index of a reply among the destinations."""
_FIELD = re.compile(r"\{prediction(?:\.([^{}]+))?\}")
_IN_A_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


class Input(NamedTuple):
    """A message of the source queue.

    Attributes:
        name: the id that its sender gave it, else a new one, so that doubles of it differ.
        redelivered: whether it was delivered before, to a server that may have died of it.
        own_headers: the headers that are passed on, as entries of a table.
        delivery_count: how often a quorum queue delivered it before; 0: other queues do not count.
        unreadable: what is wrong with its properties; empty: nothing.
    """

    body: bytes
    properties: Properties
    name: str
    redelivered: bool
    own_headers: bytes = b""
    delivery_count: int = 0
    unreadable: str = ""

    @property
    def question(self) -> Question:
        """The question that it asks; a redelivered message is asked alone."""
        kind = (self.properties.content_type or "application/json").strip()
        protocol = INFER if kind.partition(";")[0].strip().lower() == OIP else INVOCATIONS
        content_type = (
            b"application/json" if protocol == INFER else kind.encode("latin-1", "replace")
        )
        return Question(protocol, content_type, self.body, self.name, alone=self.redelivered)


def received(delivery: wire.Delivery) -> Input:
    """Take in a delivered message."""
    body, again = delivery.body, delivery.redelivered
    try:
        properties = wire.decoded(delivery.properties)
        own = properties.headers
        count: Any = 0
        if _OF_OTHERS.search(own):
            table = properties.table
            count = table.get(DELIVERY_COUNT)
            own = wire.entries(_passed_on(table))
    except wire.MalformedFrame as error:
        return Input(body, Properties(), new_id(), again, unreadable=str(error))
    name = properties.message_id or properties.correlation_id or new_id()
    return Input(body, properties, name, again, own, count if isinstance(count, int) else 0)


def new_id() -> str:
    """Return an id that nothing else has, without asking the system for each: it is no secret."""
    return f"{_IDS.getrandbits(128):032x}"


def result_id(source: str, name: str, index: int) -> str:
    """Return the message id of a result: the same for the same input, whatever version answers.

    A UUID of version 5 (RFC 9562), which `uuid.uuid5` makes in three times the time.
    """
    digest = _NAMESPACE.copy()
    digest.update(f"{source}\0{name}\0{index}".encode("utf-8", "surrogateescape"))
    text = digest.hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


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
        headers: dict[str, Any] = {
            f"{OURS}model": predictor.model,
            f"{OURS}version": predictor.model_version,
            f"{OURS}environment": predictor.environment,
            f"{OURS}predictor": predictor.predictor,
        }
        self._headers = wire.entries(headers)  # the same in every message: written once

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
        properties = asked.properties._replace(
            headers=asked.own_headers + self._headers + wire.entries(said),
            delivery_mode=PERSISTENT,
            expiration="",
            user_id="",
        )
        return Message("", queue, asked.body, properties)

    def _properties(self, answer: Answer, asked: Input, prediction: str, index: int) -> Properties:
        said = (
            wire.text_entry(f"{OURS}input-id", asked.name)
            + wire.text_entry(f"{OURS}prediction-id", prediction)
            + _status(answer.status)
        )
        if asked.redelivered:
            said += wire.entries({f"{OURS}redelivered": True})
        return Properties(
            content_type=answer.content_type.decode("latin-1"),
            message_id=result_id(self._source, asked.name, index),
            correlation_id=asked.properties.correlation_id or asked.name,
            message_type="prediction" if answer.status < 400 else "error",
            app_id="schnitzel",
            delivery_mode=PERSISTENT,
            headers=asked.own_headers + self._headers + said,
        )


@cache
def _status(status: int) -> bytes:
    return wire.entries({f"{OURS}status": status})


def _passed_on(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the sender's own headers, `traceparent` among them."""
    skipped = (OURS, *_NOT_PASSED_ON)
    return {name: value for name, value in headers.items() if not name.lower().startswith(skipped)}


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
