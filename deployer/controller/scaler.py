"""Scale predictors by the messages of their queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deployer.background.periodic import Periodic
from deployer.controller.queues import DEPTH_SECONDS, QueueWatch
from deployer.scaling.decide import EVIDENCE_SECONDS, Bounds, Reading, decide
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed

KEPT: Final = int(3 * EVIDENCE_SECONDS / DEPTH_SECONDS)
"""The readings that are kept of a predictor."""


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A predictor that is scaled, as of its last pass.

    Attributes:
        name: The predictor's.
        deployment: The deployment's id.
        queue: The broker's name and the source queue's.
        share: The predictor's share of the messages, above 0 and at most 1.
        bounds: The bounds of its number of replicas.
        replicas: Its number of replicas.
    """

    name: str
    deployment: str
    queue: tuple[str, str]
    share: float
    bounds: Bounds
    replicas: int


class Scaler:
    """The numbers of replicas of all predictors that are scaled by messages.

    A pass takes the numbers from here, and a thread decides them anew with each reading; nothing is
    kept on record: after a restart, a predictor has the replicas that the target observes.

    Args:
        watch: The depths of the queues, and what model servers hold.
        changed: Called with a deployment's id when its number of replicas is to change.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, watch: QueueWatch, changed: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._watch = watch
        self._changed = changed
        self._clock = clock
        self._scaled: dict[str, tuple[_Scaled, ...]] = {}
        self._readings: dict[str, deque[Reading]] = {}
        self._wanted: dict[str, int] = {}
        self._removed: dict[str, float] = {}
        self._periodic: Periodic | None = None

    def start(self) -> None:
        """Begin to decide."""
        self._periodic = Periodic(self.look, "scaling", DEPTH_SECONDS)

    def close(self) -> None:
        """Stop to decide."""
        if self._periodic:
            self._periodic.close()

    def follow(self, deployment: Deployment, observed: Observed) -> None:
        """Decide from now on for what a pass acts on, as that pass observed it."""
        if found := self._scaled_of(deployment, observed):
            self._scaled[deployment.id] = found
        else:
            self._scaled.pop(deployment.id, None)

    def numbers(self, deployment: Deployment, observed: Observed) -> Mapping[str, int]:
        """Return the number of replicas of each predictor that is scaled and has a share."""
        return {
            one.name: min(one.bounds.most, max(one.bounds.least, self._number(one)))
            for one in self._scaled_of(deployment, observed)
        }

    def _scaled_of(self, deployment: Deployment, observed: Observed) -> tuple[_Scaled, ...]:
        """List what is scaled; what shares the messages with another keeps a replica at least."""
        found = []
        for weighted in deployment.predictors:
            spec, name = weighted.predictor.spec, weighted.predictor.name
            seen = observed.predictors.get(name)
            scaling = spec.autoscaling
            if not scaling or scaling.messages is None or not weighted.weight or seen is None:
                continue
            queue = spec.queue.named(deployment.model, deployment.environment)
            least = scaling.min if weighted.weight == 100 else max(1, scaling.min)
            bounds = Bounds(least, scaling.max, scaling.messages)
            place, share = (queue.broker, queue.source), weighted.weight / 100
            found.append(_Scaled(name, deployment.id, place, share, bounds, seen.replicas))
        return tuple(found)

    def look(self) -> None:
        """Decide the numbers anew from the last readings."""
        now = self._clock()
        scaled = {one.name: one for each in list(self._scaled.values()) for one in each}
        for kept in (self._readings, self._wanted, self._removed):
            for name in kept.keys() - scaled.keys():
                kept.pop(name, None)
        for one in scaled.values():
            depth = self._watch.latest(*one.queue)
            if depth is None:
                continue
            readings = self._readings.setdefault(one.name, deque(maxlen=KEPT))
            held = self._in_flight(one)
            readings.append(Reading(now, round(depth.ready * one.share), held))
            current, removed = self._number(one), self._removed.get(one.name, float("-inf"))
            wanted = decide(current, readings, one.bounds, removed, now)
            if wanted < current:
                self._removed[one.name] = now
            self._wanted[one.name] = wanted
            if wanted != one.replicas:
                self._changed(one.deployment)

    def _number(self, one: _Scaled) -> int:
        return self._wanted.get(one.name, one.replicas)

    def _in_flight(self, one: _Scaled) -> int:
        return sum(
            server.in_flight
            for predictor in self._watch.predictors(one.deployment)
            if predictor.predictor.name == one.name
            for server in predictor.servers
        )
