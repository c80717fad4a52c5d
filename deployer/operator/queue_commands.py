"""Carry out an operator's commands on queues; the history names the operator beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from deployer import hints
from deployer.brokers.contract import Chosen, Message
from deployer.brokers.messages import Looked, Replayed
from deployer.brokers.names import QueueNames
from deployer.brokers.queues import Kind, Made
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.errors import NotFound, QueueMissing
from deployer.operator.queues import used_by
from deployer.store.history import Event, by_operator


@dataclass(frozen=True, slots=True)
class Creation:
    """What became of queues that were to be made, and the destinations that are no queue."""

    broker: str
    queues: Mapping[str, Made]
    elsewhere: Sequence[str]


class QueueCommands:
    """What an operator may have done with the queues of a deployment.

    Each method raises NotFound if no deployment has the id or it answers no queue, and another
    SchnitzelError if the broker does not answer, refuses it, or lacks a queue.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._context: ReconcileContext = controller.context

    def send(self, deployment: str, who: str, messages: Sequence[Message]) -> tuple[str, list[str]]:
        """Send messages to the source, and return its name and the messages' ids."""
        names = self._names(deployment)
        count = f"{len(messages)} message{'s' if len(messages) > 1 else ''}"
        self._note(deployment, "send", who, f"{count} to {_at(names, names.source)}")
        with self._missing(deployment):
            broker = self._context.queues.brokers.get(names.broker)
            return names.source, broker.send(names.source, messages)

    def peek(self, deployment: str, who: str, queue: str, limit: int) -> tuple[str, Looked]:
        """Look at the first messages of one of a deployment's queues.

        Args:
            deployment: The deployment's id.
            who: The operator.
            queue: "source", "dead", or the name of one of its queues.
            limit: How many.

        Returns:
            The name of the queue, and the messages.
        """
        names = self._names(deployment)
        name = {"source": names.source, "dead": names.dead_letter}.get(queue, queue)
        if name not in names.all:
            raise NotFound(
                f"{deployment} has no queue {queue!r}.", f"It has {', '.join(names.all)}."
            )
        self._note(deployment, "look at messages", who, f"{limit} at most of {_at(names, name)}")
        with self._missing(deployment):
            return name, self._context.queues.brokers.get(names.broker).peek(name, limit)

    def replay(self, deployment: str, who: str, chosen: Chosen, limit: int) -> Replayed:
        """Send dead letters that came from the source to it again."""
        names = self._names(deployment)
        what = "all"
        if chosen.ids or chosen.reasons:
            what = ", ".join([*chosen.ids, *chosen.reasons])[:300]
        where = f"from {_at(names, names.dead_letter)} to {names.source}"
        self._note(deployment, "replay", who, f"{what}, {limit} at most, {where}")
        mine = replace(chosen, source=names.source)
        with self._missing(deployment):
            broker = self._context.queues.brokers.get(names.broker)
            done = broker.replay(names.dead_letter, names.source, mine, limit)
        outcome = f"{done.replayed} sent again, {done.kept} given back"
        event = Event(deployment, "outcome", "replay", None, None, "it ended", who, outcome)
        self._context.history.append(event, self._context.clock())
        return done

    def create(self, deployment: str, who: str, kind: Kind) -> Creation:
        """Make the queues that the deployment's specs name, and leave those that are there."""
        every = [names for _, names in used_by(self._controller.status(deployment).record)]
        found: dict[str, Made] = {}
        for names in dict.fromkeys(every):
            text = f"{kind}, if they are not there: {', '.join(names.all)} at {names.broker}"
            self._note(deployment, "create queues", who, text)
            found |= self._context.queues.brokers.get(names.broker).create(names.new, kind)
        elsewhere = dict.fromkeys(where for names in every for where in names.elsewhere)
        return Creation(every[-1].broker, found, list(elsewhere))

    def _names(self, deployment: str) -> QueueNames:
        """Return the names that the champion's spec has, else the candidate's."""
        return used_by(self._controller.status(deployment).record)[-1][1]

    @contextmanager
    def _missing(self, deployment: str) -> Iterator[None]:
        """Name the command that makes the deployment's queues where one is missing."""
        try:
            yield
        except QueueMissing as error:
            record = self._controller.status(deployment).record
            command = hints.command("queue create", record.model, "-e", record.environment)
            raise QueueMissing(error.message, command) from error

    def _note(self, deployment: str, action: str, who: str, detail: str) -> None:
        event = by_operator(deployment, action, who, detail)
        self._context.history.append(event, self._context.clock())


def _at(names: QueueNames, queue: str) -> str:
    return f"{queue} at {names.broker}"
