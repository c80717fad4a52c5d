"""Sum up the worker's counts of the model's answers, within bounds.

The worker looks at the values (worker/answers.py). The model's code runs in the worker's process
too, so this summary stays within its limits whatever the worker sends.
"""

from __future__ import annotations

from typing import Any

LABELS = 20
"""Number of labels that are counted by name; the rest is `other`."""
CHARACTERS = 40
BINS = 400
"""The largest bin number; its negative is the smallest."""
MOST = 2**31
"""The largest count of one call."""
_COUNTS = ("values", "counted", "other", "missing")


class Answers:
    """Counts of the model's answers, by label and by bin.

    Attributes:
        counts: `values` is the number of values; `counted`, how many of those the worker looked at;
            of these, `other` have no label of their own, and `missing` have no value.
        labels: how often the model gave each of the first LABELS labels.
        bins: how often the model gave a number in each bin.
    """

    __slots__ = ("bins", "counts", "labels")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.labels: dict[str, int] = {}
        self.bins: dict[int, int] = {}

    def add(self, said: dict[str, Any]) -> None:
        """Add the worker's counts of one call.

        Raises:
            ValueError, TypeError, AttributeError: the counts are not as worker/answers.py makes
            them.
        """
        read = Answers()  # so that a malformed summary adds nothing
        for name in _COUNTS:
            if name in said:
                read.counts[name] = _count(said[name])
        for label, count in said.get("labels", {}).items():
            read._label(label[:CHARACTERS], _count(count))
        for number, count in said.get("bins", {}).items():
            index = max(-BINS, min(BINS, int(number)))
            read.bins[index] = read.bins.get(index, 0) + _count(count)
        self.merge(read)

    def merge(self, other: Answers) -> None:
        """Add the counts of `other`."""
        for name in _COUNTS:
            self.counts[name] += other.counts[name]
        for label, count in other.labels.items():
            self._label(label, count)
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data."""
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
