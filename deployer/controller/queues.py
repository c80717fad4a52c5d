"""Watch the queues of deployments: their depths at the brokers, and what model servers say.

Threads of its own read, and the last readings are kept in memory: who asks waits for nobody.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from deployer.background.periodic import Periodic
from deployer.brokers.client import Brokers
from deployer.brokers.contract import Depth
from deployer.brokers.loop import Loop
from deployer.brokers.names import QueueNames, names_of
from deployer.brokers.readings import Reading, Readings
from deployer.errors import SchnitzelError
from deployer.scaling import standing
from deployer.scaling.standing import Point
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Record
from deployer.targets import queue_servers
from deployer.targets.base import CountsRequests, HasQueues, Target
from deployer.targets.queue_servers import QueueServer

log = logging.getLogger(__name__)

DEPTH_SECONDS: Final = 2.0
SERVER_SECONDS: Final = 5.0
POINT_SECONDS: Final = 10.0
POINTS: Final = 90
"""The points of a history: fifteen minutes."""

PARALLEL: Final = 8


@dataclass(frozen=True, slots=True)
class PredictorServers:
    """The servers of one predictor; `rate` is how many answers per second they give together."""

    predictor: Predictor
    servers: Sequence[QueueServer]
    rate: float | None


@dataclass(frozen=True, slots=True)
class _Seen:
    predictors: Sequence[PredictorServers]
    history: deque[Point]


class QueueWatch:
    """The last readings of the queues that deployments use.

    Attributes:
        users: The deployments that consume each source queue, by the broker's name and its own.

    Args:
        brokers: The brokers.
        records: Returns the records of all deployments.
        targets: The target of each environment.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        brokers: Brokers,
        records: Callable[[], Iterable[Record]],
        targets: Mapping[str, Target],
        clock: Callable[[], float],
    ) -> None:
        self.brokers = brokers
        self._readings = Readings(brokers, clock)
        self._records = records
        self._targets = targets
        self._clock = clock
        self._seen: Mapping[str, _Seen] = {}
        self.users: Mapping[tuple[str, str], set[str]] = {}
        self._pointed = float("-inf")
        self._periodics: list[Periodic] = []

    def start(self) -> None:
        """Begin to read."""
        self._periodics = [
            Periodic(self.read_depths, "queue-depths", DEPTH_SECONDS),
            Periodic(self.read_servers, "queue-servers", SERVER_SECONDS),
        ]

    def close(self) -> None:
        """Stop to read, and close the connections to the brokers."""
        for periodic in self._periodics:
            periodic.close()
        self.brokers.close()

    def latest(self, broker: str, queue: str) -> Depth | None:
        """Return the depth of a queue; None where nobody knows it now."""
        return self._readings.latest(broker, queue)

    def last(self, broker: str, queue: str) -> Reading | None:
        """Return the last reading of a queue, with the error if there is no depth."""
        return self._readings.last(broker, queue)

    def predictors(self, deployment: str) -> Sequence[PredictorServers]:
        """Return what the servers of a deployment said, candidate and champion."""
        seen = self._seen.get(deployment)
        return seen.predictors if seen else ()

    def history(self, deployment: str) -> list[Point]:
        """Return the last fifteen minutes of a deployment's queue, the oldest point first."""
        seen = self._seen.get(deployment)
        return list(seen.history) if seen else []

    def standing(self, deployment: str) -> Reason | None:
        """Return what somebody should know of a deployment's queue; None if there is nothing."""
        return standing.standing(self.history(deployment))

    def read_depths(self) -> None:
        """Read the depth of every queue that a deployment uses."""
        used = [(record.id, names) for record in self._records() for _, names in queues_of(record)]
        users: dict[tuple[str, str], set[str]] = {}
        for deployment, names in used:
            users.setdefault((names.broker, names.source), set()).add(deployment)
        self.users = users
        self._readings.read((names.broker, queue) for _, names in used for queue in names.all)

    def read_servers(self) -> None:
        """Read every server of a deployment that uses a queue, and note a point when it is due."""
        now = self._clock()
        point = now - self._pointed >= POINT_SECONDS
        found = [(record, queues_of(record)) for record in self._records()]
        found = [(record, used) for record, used in found if used]
        with ThreadPoolExecutor(PARALLEL, "queue-server") as pool:
            reads = {
                record.id: [
                    pool.submit(self._read, record, predictor, point) for predictor, _ in used
                ]
                for record, used in found
            }
        seen: dict[str, _Seen] = {}
        for record, used in found:
            before = self._seen.get(record.id)
            predictors = [read.result() for read in reads[record.id]]
            history = before.history if before else deque(maxlen=POINTS)
            if point:
                history.append(self._point(now, used[-1][1], predictors))
            seen[record.id] = _Seen(predictors, history)
        self._seen = seen
        if point:
            self._pointed = now

    def _read(self, record: Record, predictor: Predictor, rates: bool) -> PredictorServers:
        target = self._targets.get(record.environment)
        if target is None:
            return PredictorServers(predictor, (), None)
        said: Mapping[str, bytes] = {}
        rate = self._rate_before(record.id, predictor)
        try:
            if isinstance(target, HasQueues):
                said = target.queues(predictor)
            if rates and isinstance(target, CountsRequests):
                rate = _total(map(queue_servers.rate, target.windows(predictor).values()))
        except (SchnitzelError, OSError) as error:
            log.info("%s cannot be asked about its queue: %s", predictor.name, error)
        except Exception:  # one target that breaks must not end the reading of the others
            log.exception("the servers of %s cannot be asked about their queue", predictor.name)
        servers = [queue_servers.parse(name, body) for name, body in sorted(said.items())]
        return PredictorServers(predictor, servers, rate)

    def _rate_before(self, deployment: str, predictor: Predictor) -> float | None:
        known = self.predictors(deployment)
        return next((one.rate for one in known if one.predictor.name == predictor.name), None)

    def _point(
        self, now: float, names: QueueNames, predictors: Sequence[PredictorServers]
    ) -> Point:
        source = self.latest(names.broker, names.source)
        dead = self.latest(names.broker, names.dead_letter)
        return Point(
            now,
            source.ready if source else None,
            source.consumers if source else None,
            dead.ready if dead else None,
            _total(one.rate for one in predictors),
        )


def without_brokers() -> QueueWatch:
    """Build the watch of a platform that has no brokers."""
    return QueueWatch(Brokers({}, Loop()), list, {}, time.time)


def queues_of(record: Record) -> list[tuple[Predictor, QueueNames]]:
    """Return the predictors of a deployment that answer a queue: the candidate, then the champion.

    Each comes with the names of its queues.
    """
    candidate = record.candidate.predictor if record.candidate else None
    return list(_with_queues(record, (candidate, record.champion)))


def _with_queues(
    record: Record, predictors: Iterable[Predictor | None]
) -> Iterator[tuple[Predictor, QueueNames]]:
    for one in predictors:
        if one is not None and one.spec.runtime == "queue":
            yield one, names_of(one.spec.queue.named(record.model, record.environment))


def _total(rates: Iterable[float | None]) -> float | None:
    """Add up the rates that are known; None if none is."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
