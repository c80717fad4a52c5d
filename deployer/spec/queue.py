"""Declare the section `queue` of serving.yaml, and check which queues a project may use. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, Field

from deployer.errors import SpecInvalid
from deployer.schema.base import Frozen

if TYPE_CHECKING:
    from deployer.spec.model import ServingSpec

MOST_BYTES: Final = 255
"""The longest name in AMQP."""

Act = Literal["consume", "publish"]

_PLACEHOLDERS: Final = ("{model}", "{environment}")


def _name(value: str) -> str:
    if not value or len(value.encode()) > MOST_BYTES:
        raise ValueError(f"should be a name of 1 to {MOST_BYTES} bytes")
    if value.startswith("amq."):
        raise ValueError("should not begin with 'amq.', which RabbitMQ keeps for itself")
    return value


def _destination(value: Any) -> Any:
    return {"routing_key": value} if isinstance(value, str) else value


QueueName = Annotated[str, AfterValidator(_name)]
"""The name of a queue; `{model}` and `{environment}` stand for the deployment's."""


class Destination(Frozen):
    """A destination of results; a mere name is a queue."""

    exchange: str = Field(default="", max_length=MOST_BYTES)
    """The exchange; empty: the default one, whose routing keys are names of queues."""

    routing_key: QueueName
    """The routing key; `{prediction}` stands for the first prediction, `{prediction.NAME}` for a
    column of it."""

    other: str = Field(default="", max_length=MOST_BYTES)
    """The routing key for a prediction that no queue is there for; empty: none."""


class Queue(Frozen):
    """The queues of a deployment; used with `runtime: queue` only.

    In names, `{model}` and `{environment}` stand for the deployment's.
    """

    broker: str = Field(default="default", min_length=1)
    """The broker, one of `brokers` in platform.yaml."""

    source: QueueName = "{model}.{environment}"
    """The queue whose messages are answered."""

    results: list[
        Annotated[
            Destination, BeforeValidator(_destination, json_schema_input_type=str | Destination)
        ]
    ] = Field(default=[Destination(routing_key="{model}.{environment}.results")], min_length=1)
    """The destinations of each result: queues by name, or sections with `exchange`, `routing_key`
    and `other`."""

    dead_letter: QueueName = "{model}.{environment}.dead"
    """The queue for messages that cannot be answered."""

    prefetch: int = Field(default=0, ge=0, le=65_535)
    """The most messages in flight in one replica; 0: as many as fill the model's batches."""

    attempts: int = Field(default=2, ge=1, le=100)
    """The tries of a message whose answer is an error of the model."""

    signature: Literal["compatible", "any"] = "compatible"
    """Whether a version must fit what others rely on, the serving version's signature: compatible,
    or any, which is not compared. It is compared with the answer to the example."""

    def named(self, model: str, environment: str) -> Queue:
        """Return the section with the names of one deployment in it."""

        def filled(text: str) -> str:
            for placeholder, value in zip(_PLACEHOLDERS, (model, environment), strict=True):
                text = text.replace(placeholder, value)
            return text

        results = [
            Destination.model_construct(
                exchange=filled(one.exchange),
                routing_key=filled(one.routing_key),
                other=filled(one.other),
            )
            for one in self.results
        ]
        names = {"source": filled(self.source), "dead_letter": filled(self.dead_letter)}
        return self.model_copy(update={"results": results, **names})


class QueueAccess(Frozen):
    """The queues of a broker that the models of some projects may use."""

    project: str = "*"
    """The projects: a pattern such as "team-a-*"."""

    consume: list[str] = Field(default=["{model}.*"])
    """Source queues: patterns, in which `{model}` is the registered model's name."""

    publish: list[str] = Field(default=["*"])
    """Queues for results and dead letters: patterns of a queue's name, or of EXCHANGE/KEY."""

    def of(self, act: Act) -> list[str]:
        """Return the patterns of the queues that may be consumed, or published to."""
        return self.consume if act == "consume" else self.publish


Access = Mapping[str, Sequence[QueueAccess]]
"""The access to each broker of the platform, by its name."""

Users = Mapping[tuple[str, str], Collection[str]]
"""The deployments that consume each source queue, by the broker's name and the queue's."""


@dataclass(frozen=True, slots=True)
class QueueRules:
    """The queues that deployments may use.

    Attributes:
        access: The access of projects to each broker, by its name.
        users: The deployments that consume a source queue, by the broker's name and its own.
        reached: The brokers that the pods of the deployment's cluster have access to; None on this
            machine, which has access to all.
    """

    access: Access = field(default_factory=dict)
    users: Users = field(default_factory=dict)
    reached: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """The deployment that asks for queues."""

    deployment: str
    model: str
    environment: str
    project: str


class _Resolved(Protocol):
    @property
    def spec(self) -> ServingSpec: ...
    @property
    def origins(self) -> Mapping[str, str]: ...


def hold_queues(
    resolved: _Resolved, rules: QueueRules, asker: Asker, operators: tuple[str, ...]
) -> None:
    """Check the queues of a spec with `runtime: queue`.

    Args:
        resolved: The merged layers, and the layer that set each field.
        rules: What is allowed, and who consumes what.
        asker: The deployment.
        operators: The prefixes of the names of an operator's layers, which the patterns do not
            bind.

    Raises:
        SpecInvalid: names the layer, the field, its value, the limit and who can change it.
    """
    origins = resolved.origins
    queue, access = resolved.spec.queue.named(asker.model, asker.environment), rules.access
    if queue.broker not in access:
        raise SpecInvalid(
            f"{origins['queue.broker']}: queue.broker is {queue.broker!r}, and platform.yaml has "
            f"{', '.join(map(repr, access)) or 'no brokers'}.",
            "Name one of these, or ask an operator to add the broker to platform.yaml.",
        )
    if rules.reached is not None and queue.broker not in rules.reached:
        raise SpecInvalid(
            f"{origins['queue.broker']}: queue.broker is {queue.broker!r}, which the cluster of "
            f"{asker.environment} has no access to.",
            f"Ask an operator to add the secret with its address to the cluster's brokers in "
            f"platform.yaml: brokers.{queue.broker}.secret.",
        )
    _hold_names(queue, origins)
    others = set(rules.users.get((queue.broker, queue.source), ())) - {asker.deployment}
    if others:
        raise SpecInvalid(
            f"{origins['queue.source']}: queue.source is {queue.source!r}, which {min(others)} "
            "consumes already: the two would share its messages, whatever they are promoted to.",
            "Give each deployment a queue of its own, such as '{model}.{environment}'.",
        )
    granted = [one for one in access[queue.broker] if fnmatchcase(asker.project, one.project)]
    for where, name, act in _asked(queue):
        patterns = [p.replace("{model}", asker.model) for one in granted for p in one.of(act)]
        operators_own = origins[where].startswith(operators)
        if not operators_own and not any(fnmatchcase(name, pattern) for pattern in patterns):
            raise SpecInvalid(
                f"{origins[where]}: {where} is {name!r}, but the project {asker.project!r} may "
                f"{act} {', '.join(patterns) or 'nothing'} at the broker {queue.broker!r}.",
                f"Change {where}, or ask an operator to allow it by "
                f"brokers.{queue.broker}.access in platform.yaml.",
            )


def _asked(queue: Queue) -> Iterator[tuple[str, str, Act]]:
    """Iterate over the field and the name of each queue, and what is to be done with it."""
    yield "queue.source", queue.source, "consume"
    yield "queue.dead_letter", queue.dead_letter, "publish"
    for one in queue.results:
        for key in filter(None, (one.routing_key, one.other)):
            yield "queue.results", f"{one.exchange}/{key}" if one.exchange else key, "publish"


def _hold_names(queue: Queue, origins: Mapping[str, str]) -> None:
    for where, name, act in _asked(queue):
        if len(name.encode()) > MOST_BYTES:
            raise SpecInvalid(
                f"{origins[where]}: {where} is longer than {MOST_BYTES} bytes: {name[:60]}...",
                f"Give the queue a shorter name in {where}.",
            )
        if act == "publish" and name == queue.source:
            raise SpecInvalid(
                f"{origins[where]}: {where} is {name!r}, which is also queue.source: the model "
                "would answer itself without end.",
                f"Name another queue in {where}.",
            )
