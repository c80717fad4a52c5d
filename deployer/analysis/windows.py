"""Read what model servers counted in windows of ten seconds, and pair two predictors' windows.

A window is used only if every replica of both predictors was read for it, from its beginning to its
end: what nobody read is missing and never zero. Windows have the same numbers in every server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from deployer.state.evidence import Arm, Buckets, Window, added

PATH: Final = "/schnitzel/window"
"""Where a model server's admin port shows its windows."""

FORMAT: Final = 1
SECONDS: Final = 10
KEPT: Final = 30
"""Windows that a server keeps (serving/telemetry/window.py), and of which a reference consists."""

STALE: Final = 3
"""Windows after which a replica that was not read makes the evidence stale."""

_ERRORS: Final = frozenset({"model_error", "timeout", "overload", "unavailable", "failed"})
_ANSWERED: Final = _ERRORS | {"ok", "rejected"}


class WindowsUnreadable(Exception):  # noqa: N818 - nobody's mistake, but a state of things
    """A model server's windows are in another format, or are no windows."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What one process of a predictor counted.

    Attributes:
        process: An id that changes with each start.
        started: The window in which the process started, and so missed the beginning.
        open: The window that it still counts in.
        windows: The windows that ended and in which anything happened; those that an earlier
            reading had may be left out.
    """

    process: str
    started: int
    open: int
    windows: Mapping[int, Arm] = field(default_factory=dict)


def parse(body: bytes, before: Replica | None = None) -> Replica:
    """Parse a server's answer to GET of PATH.

    Args:
        body: The answer.
        before: The replica as it was read before: windows that had ended then are left out.

    Raises:
        WindowsUnreadable: It is in another format, or malformed.
    """
    try:
        data = orjson.loads(body)
        form = data["format"], data["window_seconds"]
        if form == (FORMAT, SECONDS):
            process = str(data["process"]["id"])
            first = before.open if before and before.process == process else 0
            numbered = ((int(each["sequence"]), each) for each in data["windows"])
            return Replica(
                process,
                int(data["process"]["started"] // SECONDS),
                int(data["sequence"]),
                {number: _arm(each) for number, each in numbered if number >= first},
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WindowsUnreadable(
            f"its windows cannot be read ({type(error).__name__}: {error}): is another server "
            "behind the admin port?"
        ) from error
    raise WindowsUnreadable(
        f"it counts in format {form[0]} and windows of {form[1]} s, and this Deployer reads format "
        f"{FORMAT} and windows of {SECONDS} s: upgrade both"
    )


def _arm(data: Mapping[str, Any]) -> Arm:
    counts = {name: _count(value) for name, value in data.get("counts", {}).items()}
    answers = data.get("answers", {})
    labels = {str(label): _count(value) for label, value in answers.get("labels", {}).items()}
    return Arm(
        sum(counts.get(name, 0) for name in _ANSWERED),
        sum(counts.get(name, 0) for name in _ERRORS),
        counts.get("rejected", 0),
        _buckets(data.get("request_seconds", {}).get("buckets", {})),
        labels,
        _buckets(answers.get("bins", {})),
        _count(answers.get("counted", 0)),
        _count(answers.get("missing", 0)),
    )


def _buckets(data: Mapping[str, Any]) -> dict[int, int]:
    return {int(index): _count(value) for index, value in data.items()}


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


class PredictorWindows:
    """The windows of one predictor, over all its replicas and their restarts."""

    def __init__(self) -> None:
        self._replicas: dict[str, Replica] = {}
        self._windows: dict[int, Arm] = {}
        self._lost: set[int] = set()

    def last(self, name: str) -> Replica | None:
        """Return a replica as it was read last."""
        return self._replicas.get(name)

    def take(self, found: Mapping[str, Replica | None], at: int) -> None:
        """Take in a reading of every replica that there is.

        Args:
            found: By the replica's name; None for one that could not be read.
            at: The number of the window in which they were read.
        """
        for name in self._replicas.keys() - found.keys():
            self._lost.update(range(self._replicas.pop(name).open, at + 1))
        for name, replica in found.items():
            if replica is not None:
                self._take(name, replica)
        oldest = at - 2 * KEPT
        self._windows = {n: arm for n, arm in self._windows.items() if n >= oldest}
        self._lost = {number for number in self._lost if number >= oldest}

    def _take(self, name: str, replica: Replica) -> None:
        before = self._replicas.get(name)
        self._replicas[name] = replica
        known = replica.started
        if before and before.process == replica.process:
            known = before.open
            self._lost.update(range(known, replica.open - KEPT))
        else:
            first = before.open if before else replica.started
            self._lost.update(range(max(first, replica.open - 2 * KEPT), replica.started + 1))
        for number, arm in replica.windows.items():
            if number >= known:
                self._windows[number] = self._windows.get(number, Arm()).plus(arm)

    @property
    def until(self) -> int:
        """The number of the first window that is not complete yet; 0 without a replica."""
        return min((replica.open for replica in self._replicas.values()), default=0)

    def get(self, number: int) -> Arm | None:
        """Return the counts of a window; None if any replica missed a part of it."""
        if number >= self.until or number in self._lost:
            return None
        return self._windows.get(number, Arm())

    def reference(self, before: int) -> Buckets:
        """Add up how long requests took in the windows before this one."""
        found: Buckets = {}
        for number in range(before - KEPT, before):
            found = added(found, (self.get(number) or Arm()).seconds)
        return found


def paired(candidate: PredictorWindows, champion: PredictorWindows, first: int) -> Iterator[Window]:
    """Yield the windows from `first` on that are complete for both, in their order."""
    end = min(candidate.until, champion.until)
    for number in range(max(first, end - KEPT), end):
        mine, others = candidate.get(number), champion.get(number)
        if mine is not None and others is not None:
            yield Window(number, number, mine, others, champion.reference(number))
