"""Export Prometheus metrics of the Deployer itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Gauges = Callable[[], dict[str, float | dict[str, float]]]

_ABOUT = {
    "schnitzel_queue_depth": "Deployments that are due and not yet looked at.",
    "schnitzel_deployments": "Deployments by state.",
    "schnitzel_registry_listing_age_seconds": "Age of the last good listing of the registry.",
    "schnitzel_environment_builds": "Environment builds by state.",
}


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

    def observe(self, gauges: Gauges) -> None:
        """Read these gauges at each scrape; a nested gauge has the label `state`."""
        self.registry.register(_Now(gauges))


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
