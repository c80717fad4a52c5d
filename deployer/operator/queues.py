"""Answer what operators and pages ask about the queues of deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployer import hints
from deployer.brokers.names import QueueNames
from deployer.brokers.readings import Reading
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.controller.metrics import QueueDepths
from deployer.controller.queues import PredictorServers, queues_of
from deployer.errors import NotFound, SchnitzelError
from deployer.scaling.standing import Point
from deployer.state.predictor import Predictor
from deployer.state.record import Record


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What is known of the queues of a deployment.

    Attributes:
        record: The deployment.
        names: The names of its queues.
        source: The last reading of the source; None while there is none.
        dead: The last reading of the dead-letter queue.
        results: The last reading of each queue that results go to by name.
        predictors: What the servers said, the candidate's first.
    """

    record: Record
    names: QueueNames
    source: Reading | None
    dead: Reading | None
    results: Sequence[tuple[str, Reading | None]]
    predictors: Sequence[PredictorServers]

    @property
    def error(self) -> SchnitzelError | None:
        """The first trouble with a queue."""
        readings = (self.source, self.dead, *(reading for _, reading in self.results))
        return next((one.error for one in readings if one and one.error), None)


class QueueQueries:
    """The questions about queues, which change nothing."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._context: ReconcileContext = controller.context

    def reports(self) -> list[QueueReport]:
        """Report on every deployment that answers a queue, by model and environment."""
        records = [status.record for status in self._controller.statuses()]
        return [self._report(one, used) for one in records if (used := queues_of(one))]

    def report(self, deployment: str) -> QueueReport:
        """Report on the queues of a deployment.

        Raises:
            NotFound: No deployment has this id, or it answers no queue.
        """
        record = self._controller.status(deployment).record
        return self._report(record, used_by(record))

    def depths(self) -> list[QueueDepths]:
        """Return how many messages and dead letters wait for every deployment that has a queue."""
        return [
            QueueDepths(
                one.record.model, one.record.environment, _ready(one.source), _ready(one.dead)
            )
            for one in self.reports()
        ]

    def history(self, deployment: str) -> list[Point]:
        """Return the last fifteen minutes of a deployment's queue."""
        return self._context.queues.history(deployment)

    def _report(self, record: Record, used: Sequence[tuple[Predictor, QueueNames]]) -> QueueReport:
        watch, names = self._context.queues, used[-1][1]
        return QueueReport(
            record,
            names,
            watch.last(names.broker, names.source),
            watch.last(names.broker, names.dead_letter),
            [(name, watch.last(names.broker, name)) for name in names.results],
            watch.predictors(record.id),
        )


def _ready(reading: Reading | None) -> int | None:
    return reading.depth.ready if reading and reading.depth else None


def used_by(record: Record) -> list[tuple[Predictor, QueueNames]]:
    """Return the predictors of a deployment that answer a queue, with the queues' names.

    Raises:
        NotFound: There are none.
    """
    if found := queues_of(record):
        return found
    raise NotFound(
        f"{record.model} in {record.environment} answers no queue: no version that is served or "
        "rolled out there has runtime: queue in its serving.yaml.",
        hints.deploy("status", record),
    )
