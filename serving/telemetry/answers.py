"""What the worker says of the model's answers goes in; a bounded summary of them comes out.

The worker looks at the values (worker/answers.py), in whose process the model's code runs as well:
whatever it says, this grows no further than its limits.
"""

from __future__ import annotations

from typing import Any

LABELS = 20
"""Different labels that are counted by name; the rest is `other`."""
CHARACTERS = 40
BINS = 400
"""No bin's number is larger, nor smaller than its negative."""
MOST = 2**31
"""No count of one call is larger."""
_COUNTS = ("values", "counted", "other", "missing")


class Answers:
    """Counts of the model's answers, by label and by bin.

    Attributes:
        counts: `values` that there were; `counted` of those, as many as were looked at; of these,
            `other` has no label of its own, and `missing` no value.
        labels: how often the model gave each of the first LABELS labels.
        bins: how often it gave a number in each bin.
    """

    __slots__ = ("bins", "counts", "labels")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.labels: dict[str, int] = {}
        self.bins: dict[int, int] = {}

    def add(self, said: dict[str, Any]) -> None:
        """Count what the worker said of a call.

        Raises:
            ValueError, TypeError, AttributeError: it is not what worker/answers.py makes.
        """
        for name in _COUNTS:
            if name in said:
                self.counts[name] += _count(said[name])
        for label, count in said.get("labels", {}).items():
            self._label(label[:CHARACTERS], _count(count))
        for number, count in said.get("bins", {}).items():
            index = max(-BINS, min(BINS, int(number)))
            self.bins[index] = self.bins.get(index, 0) + _count(count)

    def merge(self, other: Answers) -> None:
        """Add what another has counted."""
        for name in _COUNTS:
            self.counts[name] += other.counts[name]
        for label, count in other.labels.items():
            self._label(label, count)
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count

    def shown(self) -> dict[str, Any]:
        """Return it for JSON."""
        bins = {str(index): self.bins[index] for index in sorted(self.bins)}
        return {**self.counts, "labels": dict(self.labels), "bins": bins}

    def _label(self, label: str, count: int) -> None:
        if label in self.labels or len(self.labels) < LABELS:
            self.labels[label] = self.labels.get(label, 0) + count
        else:
            self.counts["other"] += count


def _count(said: Any) -> int:
    if type(said) is not int or not 0 <= said <= MOST:
        raise ValueError("what the worker says is no count")
    return said
