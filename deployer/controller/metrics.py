"""Export Prometheus metrics of the Deployer itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deployer.rollout.candidates import weight
from deployer.state.reasons import Reason
from deployer.status.verdict import Status

_GIVEN_BACK = (Reason.ROLLED_BACK, Reason.ABORTED)

Gauges = Callable[[], dict[str, float | dict[str, float]]]

_ABOUT = {
    "schnitzel_queue_depth": "Deployments that are due and not yet looked at.",
    "schnitzel_deployments": "Deployments by state.",
    "schnitzel_registry_listing_age_seconds": "Age of the last good listing of the registry.",
    "schnitzel_environment_builds": "Environment builds by state.",
}


class QueueDepths(NamedTuple):
    """What the broker has for a deployment: None is what nobody knows now."""

    model: str
    environment: str
    waiting: int | None
    dead: int | None


class Metrics:
    """The metrics of the Deployer, in a collector registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Histogram(
            "schnitzel_pass_seconds",
            "Duration of a pass over one deployment.",
            registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
        self.failures = Counter(
            "schnitzel_pass_failures", "Passes that failed.", registry=self.registry
        )

        self.rollbacks = Counter(
            "schnitzel_rollbacks",
            "Versions that gave their traffic back, by reason.",
            ["reason"],
            registry=self.registry,
        )
        for reason in _GIVEN_BACK:
            self.rollbacks.labels(reason)

    def note(self, before: Status | None, after: Status) -> None:
        """Count a rollback between two statuses of a deployment."""
        known = before.record.failures if before else after.record.failures
        for digest, failure in after.record.failures.items():
            if failure.reason in _GIVEN_BACK and known.get(digest) != failure:
                self.rollbacks.labels(failure.reason).inc()

    def follow(self, statuses: Callable[[], list[Status]]) -> None:
        """Show the rollouts that are under way at each scrape."""
        self.registry.register(_Rollouts(statuses))

    def follow_queues(self, depths: Callable[[], Iterable[QueueDepths]]) -> None:
        """Show the depths of the queues of deployments at each scrape."""
        self.registry.register(_Queues(depths))

    def observe(self, gauges: Gauges) -> None:
        """Read these gauges at each scrape; a nested gauge has the label `state`."""
        self.registry.register(_Now(gauges))


class _Rollouts(Collector):
    def __init__(self, statuses: Callable[[], list[Status]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        place = ["model", "environment", "version"]
        share = GaugeMetricFamily(
            "schnitzel_rollout_share",
            "Share of the traffic of a candidate, in percent.",
            labels=place,
        )
        outcome = GaugeMetricFamily(
            "schnitzel_rollout_outcome",
            "1 for the present outcome of the evidence on a new version.",
            labels=[*place, "outcome"],
        )
        value = GaugeMetricFamily(
            "schnitzel_rollout_value",
            "What a version has shown: a rate, or seconds.",
            labels=[*place, "metric", "arm"],
        )
        for status in self._statuses():
            record, verdict = status.record, status.observed.verdict
            candidate = record.candidate
            if candidate:
                number = str(candidate.predictor.version.number)
                share.add_metric([record.model, record.environment, number], weight(candidate))
            subject = candidate.predictor if candidate else record.champion
            if verdict is None or subject is None or verdict.subject != subject.digest:
                continue
            labels = [record.model, record.environment, str(subject.version.number)]
            outcome.add_metric([*labels, verdict.outcome.value], 1.0)
            for one in verdict.metrics:
                for arm, shown in (("candidate", one.candidate), ("champion", one.champion)):
                    if shown is not None:
                        value.add_metric([*labels, one.metric, arm], shown)
        yield from (share, outcome, value)


class _Queues(Collector):
    def __init__(self, depths: Callable[[], Iterable[QueueDepths]]) -> None:
        self._depths = depths

    def collect(self) -> Iterator[Metric]:
        place = ["model", "environment"]
        waiting = GaugeMetricFamily(
            "schnitzel_messages_waiting", "Messages that no server has taken yet.", labels=place
        )
        dead = GaugeMetricFamily(
            "schnitzel_dead_letters_waiting", "Messages in the dead-letter queue.", labels=place
        )
        for one in self._depths():
            for family, value in ((waiting, one.waiting), (dead, one.dead)):
                if value is not None:
                    family.add_metric([one.model, one.environment], value)
        yield from (waiting, dead)


class _Now(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, value in self._gauges().items():
            about = _ABOUT.get(name, name)
            if isinstance(value, dict):
                family = GaugeMetricFamily(name, about, labels=["state"])
                for state, number in value.items():
                    family.add_metric([state], number)
                yield family
            else:
                yield GaugeMetricFamily(name, about, value=value)
