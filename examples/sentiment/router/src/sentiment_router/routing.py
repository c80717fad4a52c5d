"""Decide where a message goes, and with what. Pure: no broker, no clock.

A text takes two hops: `ask` makes of it a question for the model of languages, `route` makes of
that model's answer a question for a model of sentiment. An answer holds no text, so the text
travels in a header, which model servers pass on: the router remembers nothing.
"""

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

TEXT, TEXT_ID = "router-text", "router-text-id"
LANGUAGE, PROBABILITY = "router-language", "router-probability"
LANGUAGE_VERSION = "router-language-version"
REASON, MESSAGE, SOURCE = "router-reason", "router-message", "router-source"
"""Headers of the router's own."""
VERSION = "x-schnitzel-version"
"""The header in which a model server says which version answered."""
NOT_PASSED_ON = ("router-", "x-schnitzel-", "x-death", "x-first-death", "x-last-death", "x-deliver")
"""Prefixes of headers of somebody else's: the broker, a server, and an earlier pass of a router."""

BAD_TEXT, BAD_ANSWER, TOO_LARGE, FAULT = "BadText", "BadAnswer", "TooLarge", "RouterFault"
NO_MODEL, UNSURE = "NoModel", "Unsure"

_NAMESPACE = uuid.UUID("3d1f5f0e-7f43-5a52-9c8e-2f5b6a1de0b4")


class Unreadable(Exception):  # noqa: N818 - named for what the message is
    """A message that can be sent nowhere but to the dead-letter queue.

    Attributes:
        reason: BadText, BadAnswer, TooLarge or RouterFault.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Routes:
    """The queues of the pipeline, and which answers are sure enough."""

    texts: str
    language: str
    detected: str
    """The queue that the model of languages answers to."""
    models: Mapping[str, str]
    """For each language, the queue of its model of sentiment."""
    results: str
    """The queue that the models of sentiment answer to; the router never uses it."""
    other: str
    dead_letter: str
    threshold: float
    """The least probability of a language that is believed."""


class Received(NamedTuple):
    """A message that was read.

    Attributes:
        name: the id that its sender gave it, else a new one.
    """

    body: bytes
    name: str
    content_type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    headers: Mapping[str, Any] = {}


class Sending(NamedTuple):
    """A message to publish."""

    queue: str
    body: bytes
    content_type: str | None
    message_id: str | None
    correlation_id: str | None
    headers: dict[str, Any]


def ask(text: Received, routes: Routes) -> Sending:
    """Make the question for the model of languages.

    Raises:
        Unreadable: the message holds no text.
    """
    content = _text_of(text)
    headers = passed_on(text.headers) | {TEXT: content, TEXT_ID: text.name}
    return Sending(
        routes.language,
        _question(content),
        "application/json",
        _derived(text.name, "language"),
        text.correlation_id or text.name,
        headers,
    )


def route(answer: Received, routes: Routes) -> Sending:
    """Send a text on by its language: to the model of its sentiment, or to the other queue.

    Raises:
        Unreadable: the message is no answer of the model of languages to a question of ours.
    """
    content, name = answer.headers.get(TEXT), answer.headers.get(TEXT_ID)
    if not isinstance(content, str) or not isinstance(name, str):
        raise Unreadable(BAD_ANSWER, f"the headers {TEXT} and {TEXT_ID} are not there")
    language, probability = _detected(answer.body)
    headers = passed_on(answer.headers) | {
        TEXT: content,
        TEXT_ID: name,
        LANGUAGE: language,
        PROBABILITY: probability,
        LANGUAGE_VERSION: str(answer.headers.get(VERSION, "")),
    }
    queue, reason = _choice(language, probability, routes)
    if reason:
        body, headers[REASON] = json.dumps({"text": content}).encode(), reason
    else:
        body = _question(content)
    identity = _derived(name, "routed")
    return Sending(queue, body, "application/json", identity, answer.correlation_id, headers)


def dead_letter(dead: Received, source: str, error: Unreadable, routes: Routes) -> Sending:
    """Make a dead letter: the message as it came, and why it is dead."""
    headers = dict(dead.headers) | {
        REASON: error.reason,
        MESSAGE: str(error)[:300],
        SOURCE: source,
    }
    return Sending(
        routes.dead_letter,
        dead.body,
        dead.content_type,
        dead.message_id,
        dead.correlation_id,
        headers,
    )


def passed_on(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sender's own headers, such as `traceparent`."""
    return {
        name: value for name, value in headers.items() if not name.lower().startswith(NOT_PASSED_ON)
    }


def _choice(language: str, probability: float, routes: Routes) -> tuple[str, str]:
    """Return a queue, and the reason where it is the other one."""
    if probability < routes.threshold:
        return routes.other, UNSURE
    if language not in routes.models:
        return routes.other, NO_MODEL
    return routes.models[language], ""


def _text_of(message: Received) -> str:
    kind = (message.content_type or "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/plain"):
        raise Unreadable(BAD_TEXT, "the content type is neither application/json nor text/plain")
    try:
        if kind == "text/plain":
            return message.body.decode()
        content = json.loads(message.body)
        text = content.get("text") if isinstance(content, dict) else None
        if isinstance(text, str):
            text.encode()  # JSON can hold half a character, and a header cannot
            return text
    except (ValueError, RecursionError) as error:
        raise Unreadable(BAD_TEXT, f"the body cannot be read: {type(error).__name__}") from error
    raise Unreadable(BAD_TEXT, 'the body is not an object such as {"text": "..."}')


def _detected(body: bytes) -> tuple[str, float]:
    try:
        [row] = json.loads(body)["predictions"]
        language, probability = row["language"], row["probability"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = "the body is not one prediction with language and probability"
        raise Unreadable(BAD_ANSWER, said) from error
    sound = isinstance(probability, int | float) and math.isfinite(probability)
    if not isinstance(language, str) or not sound:
        raise Unreadable(BAD_ANSWER, "language is no text, or probability is no number")
    return language, float(probability)


def _question(text: str) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["text"], "data": [[text]]}}).encode()


def _derived(name: str, hop: str) -> str:
    """Return the id of a message: the same for the same text, however often it is sent."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}\0{hop}"))
