"""Render metrics in Prometheus' text format.

Written by hand: the few kinds needed take a page, and the front stays small. Format:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Reading = Callable[[], float | Mapping[str, float]]

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    safe = (value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values)
    pairs = ",".join(f'{name}="{value}"' for name, value in zip(names, safe, strict=True))
    return f"{{{pairs}}}" if pairs else ""


class Counter:
    """Counts, by the values of its labels."""

    kind = "counter"

    def __init__(self, name: str, says: str, labels: Sequence[str] = ()) -> None:
        self.name, self.says, self._labels = name, says, tuple(labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, *values: str, amount: float = 1) -> None:
        """Count `amount` for these label values."""
        self._values[values] = self._values.get(values, 0.0) + amount

    def lines(self) -> Iterator[str]:
        """Yield the samples."""
        for values, value in self._values.items():
            yield f"{self.name}{_labels(self._labels, values)} {value:.15g}"


class Gauge:
    """A value read at each scrape, or a value for each `state`; a counter if named `..._total`."""

    def __init__(self, name: str, says: str, read: Reading) -> None:
        self.name, self.says, self._read = name, says, read
        self.kind = "counter" if name.endswith("_total") else "gauge"

    def lines(self) -> Iterator[str]:
        """Yield the sample, or a sample for each state."""
        found = self._read()
        if isinstance(found, float | int):
            yield f"{self.name} {found:.15g}"
            return
        for state, value in found.items():
            yield f"{self.name}{_labels(('state',), (state,))} {value:.15g}"


class Info:
    """Facts as labels; the value is always 1."""

    kind = "gauge"

    def __init__(self, name: str, says: str, **facts: str) -> None:
        self.name, self.says, self._facts = name, says, facts

    def lines(self) -> Iterator[str]:
        """Yield the sample."""
        yield f"{self.name}{_labels(tuple(self._facts), tuple(self._facts.values()))} 1"


class Histogram:
    """How often values fell under each of `bounds`, by the values of its labels."""

    kind = "histogram"

    def __init__(
        self, name: str, says: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self.name, self.says, self._bounds, self._labels = name, says, bounds, tuple(labels)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *values: str) -> None:
        """Count one value."""
        counts = self._counts.setdefault(values, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[values] = self._sums.get(values, 0.0) + value

    def lines(self) -> Iterator[str]:
        """Yield the samples: cumulative buckets, sum and count."""
        for values, counts in self._counts.items():
            total = 0
            for bound, count in zip(
                (*map("{:g}".format, self._bounds), "+Inf"), counts, strict=True
            ):
                total += count
                labels = _labels((*self._labels, "le"), (*values, bound))
                yield f"{self.name}_bucket{labels} {total}"
            labels = _labels(self._labels, values)
            yield f"{self.name}_sum{labels} {self._sums[values]:.9g}"
            yield f"{self.name}_count{labels} {total}"


Metric = Counter | Gauge | Info | Histogram


def text(metrics: Sequence[Metric]) -> str:
    """Render all metrics as one page."""
    lines: list[str] = []
    for metric in metrics:
        lines += (f"# HELP {metric.name} {metric.says}", f"# TYPE {metric.name} {metric.kind}")
        lines += metric.lines()
    return "\n".join(lines) + "\n"
