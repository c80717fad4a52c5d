"""Declare the API's answers about the queues of deployments; what nobody knows now is null."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class QueueTrouble(TypedDict):
    """Why messages are not answered, or why nobody knows; and the next step."""

    reason: str
    message: str
    next_step: str


class QueueVersion(TypedDict):
    """The servers of one version: its share of the messages, and how many of them consume."""

    version: str
    predictor: str
    role: Literal["champion", "candidate"]
    share: float
    replicas: int
    consuming: int
    in_flight: int
    answered_per_second: float | None


class DeploymentQueue(TypedDict):
    """The queue of a deployment.

    `ready` messages wait, `dead` is how many wait in the dead-letter queue, and `lag_seconds` is
    when the queue would be empty, at the rate of now and without new messages.
    """

    deployment: str
    model: str
    environment: str
    broker: str
    source: str
    dead_letter: str
    ready: int | None
    consumers: int | None
    in_flight: int | None
    dead: int | None
    answered_per_second: float | None
    lag_seconds: float | None
    versions: list[QueueVersion]
    trouble: QueueTrouble | None


class Queues(TypedDict):
    """The deployments that answer a queue."""

    queues: list[DeploymentQueue]


class ResultQueue(TypedDict):
    """A queue that results go to; `message` is why nobody knows its depth."""

    name: str
    ready: int | None
    consumers: int | None
    message: str


class QueueReplica(TypedDict):
    """What a replica says of its queue: its share, and why it takes no messages."""

    name: str
    version: str
    share: list[float]
    consumes: bool
    in_flight: int
    reason: str
    message: str
    since: str | None


class QueuePoint(TypedDict):
    """The queue at a time."""

    at: str | None
    ready: int | None
    consumers: int | None
    dead: int | None
    answered_per_second: float | None


class QueueDetail(DeploymentQueue):
    """The queue of a deployment in detail; `elsewhere` are destinations that are no single queue.

    `history` has the last fifteen minutes, each ten seconds.
    """

    results: list[ResultQueue]
    elsewhere: list[str]
    replicas: list[QueueReplica]
    history: list[QueuePoint]


class WaitingMessage(TypedDict):
    """A message that waits; `body` is its beginning, and `size` has the bytes of all of it.

    `reason` and `message` are those of a dead letter.
    """

    id: str
    content_type: str
    body: str
    size: int
    redelivered: bool
    reason: str
    message: str
    headers: dict[str, str]


class Peeked(TypedDict):
    """The first messages of a queue, of which `ready` wait."""

    queue: str
    ready: int
    messages: list[WaitingMessage]


class Sent(TypedDict):
    """The ids of the messages that were sent, in order."""

    queue: str
    message_ids: list[str]


class Replayed(TypedDict):
    """What became of dead letters: sent again, given back, and not looked at in the time."""

    replayed: int
    kept: int
    left: int


class NewQueue(TypedDict):
    """A queue that was to be made; `differs`: it was there already, with other arguments."""

    name: str
    outcome: Literal["made", "there", "differs"]


class Created(TypedDict):
    """The queues that were to be made, and destinations that are no single queue."""

    broker: str
    queues: list[NewQueue]
    elsewhere: list[str]
