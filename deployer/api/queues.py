"""Serve the requests about the queues of deployments, their messages and their dead letters.

What waits in a queue is no public matter: a look at it needs a token, as a change does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal, Self

from fastapi import Depends, FastAPI
from pydantic import AfterValidator, BaseModel, Field, model_validator

from deployer import hints
from deployer.api.schema import queues as answers
from deployer.api.times import iso_time
from deployer.brokers.contract import Chosen, Depth, Message
from deployer.brokers.readings import Reading
from deployer.controller.queues import PredictorServers
from deployer.errors import QueueMissing, reason_of
from deployer.operator.queue_commands import QueueCommands
from deployer.operator.queues import QueueQueries, QueueReport
from deployer.scaling.standing import Point

MOST_SENT: Final = 1_000
MOST_PEEKED: Final = 100
MOST_REPLAYED: Final = 10_000
MOST_BYTES: Final = 255
"""The longest property in AMQP."""


def _short(text: str) -> str:
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"should have {MOST_BYTES} bytes at most")
    return text


Short = Annotated[str, AfterValidator(_short)]
"""A property of a message."""


class NewMessage(BaseModel):
    """A message to send; without a `message_id` it gets a new one."""

    body: str
    content_type: Short = Field(default="application/json", min_length=1)
    message_id: Short = ""
    correlation_id: Short = ""


class SendRequest(BaseModel):
    """The messages to send, each so often as `count` says, each time with an id of its own."""

    messages: list[NewMessage] = Field(min_length=1, max_length=MOST_SENT)
    count: int = Field(default=1, ge=1, le=MOST_SENT)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.messages) * self.count > MOST_SENT:
            raise ValueError(f"should be {MOST_SENT} messages at most")
        if self.count > 1 and any(message.message_id for message in self.messages):
            raise ValueError("should have a count of 1 where a message has an id")
        return self


class PeekRequest(BaseModel):
    """The queue to look at: "source", "dead", or its name; and how many of its messages."""

    queue: str = "source"
    limit: int = Field(default=10, ge=1, le=MOST_PEEKED)


class ReplayRequest(BaseModel):
    """The dead letters to send again: those of some ids, of some reasons, or all."""

    ids: list[str] = []
    reasons: list[str] = []
    all: bool = False
    limit: int = Field(default=1_000, ge=1, le=MOST_REPLAYED)

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if self.all == bool(self.ids or self.reasons):
            raise ValueError("should have either ids or reasons, or all")
        return self


class CreateRequest(BaseModel):
    """The kind of the queues to make."""

    kind: Literal["quorum", "classic"] = "quorum"


def add(
    app: FastAPI, queries: QueueQueries, commands: QueueCommands, subject: Callable[..., str]
) -> None:
    """Add the routes; `subject` returns the subject of a request's token."""

    @app.get("/api/v1/queues")
    def queues() -> answers.Queues:
        """List the deployments that answer a queue."""
        return {"queues": [summary(report) for report in queries.reports()]}

    @app.get("/api/v1/deployments/{deployment}/queue")
    def queue(deployment: str) -> answers.QueueDetail:
        """Show the queue of a deployment, what each replica says of it, and its last minutes."""
        return detail(queries.report(deployment), queries.history(deployment))

    @app.post("/api/v1/deployments/{deployment}/queue/peek")
    def peek(deployment: str, body: PeekRequest, who: str = Depends(subject)) -> answers.Peeked:
        """Look at the first messages of a queue; all of them stay."""
        name, looked = commands.peek(deployment, who, body.queue, body.limit)
        messages: list[answers.WaitingMessage] = [
            {
                "id": one.id,
                "content_type": one.content_type,
                "body": one.body,
                "size": one.size,
                "redelivered": one.redelivered,
                "reason": one.reason,
                "message": one.message,
                "headers": dict(one.headers),
            }
            for one in looked.messages
        ]
        return {"queue": name, "ready": looked.ready, "messages": messages}

    @app.post("/api/v1/deployments/{deployment}/queue/send")
    def send(deployment: str, body: SendRequest, who: str = Depends(subject)) -> answers.Sent:
        """Send messages to the source of a deployment, confirmed by the broker."""
        name, ids = commands.send(deployment, who, list(_messages(body)))
        return {"queue": name, "message_ids": ids}

    @app.post("/api/v1/deployments/{deployment}/queue/replay")
    def replay(
        deployment: str, body: ReplayRequest, who: str = Depends(subject)
    ) -> answers.Replayed:
        """Send dead letters to the source again, and take them off their queue."""
        done = commands.replay(deployment, who, Chosen(body.ids, body.reasons), body.limit)
        return {"replayed": done.replayed, "kept": done.kept, "left": done.left}

    @app.post("/api/v1/deployments/{deployment}/queue/create")
    def create(
        deployment: str, body: CreateRequest, who: str = Depends(subject)
    ) -> answers.Created:
        """Make the queues that a deployment's spec names; those that are there stay as they are."""
        made = commands.create(deployment, who, body.kind)
        queues: list[answers.NewQueue] = [
            {"name": name, "outcome": outcome} for name, outcome in made.queues.items()
        ]
        return {"broker": made.broker, "queues": queues, "elsewhere": list(made.elsewhere)}


def summary(report: QueueReport) -> answers.DeploymentQueue:
    """Build the answer about the queue of a deployment."""
    record, names = report.record, report.names
    source, dead = _depth(report.source), _depth(report.dead)
    rates = [one.rate for one in report.predictors if one.rate is not None]
    rate = sum(rates) if rates else None
    servers = [server for one in report.predictors for server in one.servers]
    return {
        "deployment": record.id,
        "model": record.model,
        "environment": record.environment,
        "broker": names.broker,
        "source": names.source,
        "dead_letter": names.dead_letter,
        "ready": source.ready if source else None,
        "consumers": source.consumers if source else None,
        "in_flight": sum(one.in_flight for one in servers) if servers else None,
        "dead": dead.ready if dead else None,
        "answered_per_second": rate,
        "lag_seconds": lag(source.ready, rate) if source else None,
        "versions": [_version(report, one) for one in report.predictors],
        "trouble": _trouble(report),
    }


def lag(ready: int, rate: float | None) -> float | None:
    """Return the seconds until a queue is empty; None where nothing is answered."""
    if not ready:
        return 0.0
    return ready / rate if rate else None


def detail(report: QueueReport, history: list[Point]) -> answers.QueueDetail:
    """Build the answer about the queue of a deployment in detail."""
    return {
        **summary(report),
        "results": [_result(name, reading) for name, reading in report.results],
        "elsewhere": list(report.names.elsewhere),
        "replicas": [replica for one in report.predictors for replica in _replicas(one)],
        "history": [
            {
                "at": iso_time(point.at),
                "ready": point.ready,
                "consumers": point.consumers,
                "dead": point.dead,
                "answered_per_second": point.rate,
            }
            for point in history
        ],
    }


def _messages(body: SendRequest) -> Iterator[Message]:
    for _ in range(body.count):
        for one in body.messages:
            yield Message(one.body.encode(), one.content_type, one.message_id, one.correlation_id)


def _depth(reading: Reading | None) -> Depth | None:
    return reading.depth if reading else None


def _version(report: QueueReport, one: PredictorServers) -> answers.QueueVersion:
    champion = report.record.champion
    return {
        "version": str(one.predictor.version.number),
        "predictor": one.predictor.name,
        "role": "champion" if champion and champion.name == one.predictor.name else "candidate",
        "share": max((server.share[1] - server.share[0] for server in one.servers), default=0.0),
        "replicas": len(one.servers),
        "consuming": sum(server.consumes for server in one.servers),
        "in_flight": sum(server.in_flight for server in one.servers),
        "answered_per_second": one.rate,
    }


def _trouble(report: QueueReport) -> answers.QueueTrouble | None:
    record = report.record
    if error := report.error:
        step = error.hint
        if isinstance(error, QueueMissing):
            step = hints.command("queue create", record.model, "-e", record.environment)
        return {"reason": reason_of(error), "message": error.message, "next_step": step}
    for server in (server for one in report.predictors for server in one.servers):
        if server.reason:
            step = hints.deploy("status", record)
            return {
                "reason": server.reason,
                "message": f"{server.name}: {server.message}",
                "next_step": step,
            }
    return None


def _result(name: str, reading: Reading | None) -> answers.ResultQueue:
    depth = _depth(reading)
    return {
        "name": name,
        "ready": depth.ready if depth else None,
        "consumers": depth.consumers if depth else None,
        "message": reading.error.message if reading and reading.error else "",
    }


def _replicas(one: PredictorServers) -> list[answers.QueueReplica]:
    return [
        {
            "name": server.name,
            "version": str(one.predictor.version.number),
            "share": list(server.share),
            "consumes": server.consumes,
            "in_flight": server.in_flight,
            "reason": server.reason,
            "message": server.message,
            "since": iso_time(server.since or None),
        }
        for server in one.servers
    ]
