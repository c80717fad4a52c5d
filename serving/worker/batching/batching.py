"""Put requests that wait together into one call of the model, where no answer changes.

There is no timer: a batch is the queue of the time in which the worker was busy. A model gets
batches only after it has shown that it answers each row independently. Until then each request is
asked alone; requests that waited together are asked once more as a batch, after their answers have
gone. The caller joins, cuts and compares the data (rows.py knows pandas and numpy); this file knows
order, limits, evidence and failures. Runs in the worker: standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

EVIDENCE = 32
"""Number of different rows whose answers must be the same alone and in a batch."""
CHECK_EVERY = 200
"""Number of batches of a trusted model after which one request is asked alone, to compare."""

Call = Callable[[list["Waiting"], Any, Any], Any]
"""Calls the model for these requests (none, to compare), with these data and params."""
Answered = tuple["Waiting", Any, Exception | None]


@dataclass
class Waiting:
    """A valid request that waits for the model."""

    id: int
    kind: int
    data: Any
    params: Any
    rows: int
    """Number of answers that the model owes; 0 where unknown."""
    key: Hashable
    """Requests with equal keys may share a call; None shares with no other request."""
    render: Callable[[Any], bytes]
    """Builds the answer's frame from the model's result."""


class Data(Protocol):
    """The operations on the data of requests, and on results."""

    def join(self, parts: list[Any]) -> Any:
        """Return data of equal keys as one."""

    def cut(self, result: Any, rows: list[int]) -> list[Any] | None:
        """Return the result of each request; None unless there is one row for each row."""

    def copy(self, data: Any) -> Any:
        """Return data that a model may change without changing the request."""

    def equal(self, one: Any, other: Any) -> bool:
        """Return whether two results are equal."""

    def fingerprints(self, data: Any) -> list[Hashable]:
        """Return a value for each row of a request that distinguishes it from other rows."""


@dataclass
class Batching:
    """How requests are put together, and whether the model has shown that it takes batches.

    Attributes:
        enabled: false where the deployment switches batching off, and once the model has failed the
            trial.
        trusted: whether enough rows were answered alike, alone and in a batch.
        log_lines: changes, as lines for the log.
        logged: rows of the input example, asked for evidence while no request waits.
    """

    enabled: bool
    max_rows: int
    data: Data
    trusted: bool = False
    log_lines: list[str] = field(default_factory=list)
    logged: list[Waiting] = field(default_factory=list)
    _rehearsed: list[Answered] = field(default_factory=list)
    _seen: set[Hashable] = field(default_factory=set)
    _doubtful: list[Answered] = field(default_factory=list)
    _batches: int = 0
    _starved: bool = False

    @property
    def compared(self) -> int:
        """Number of different rows that were answered alike, up to EVIDENCE."""
        return len(self._seen)

    @property
    def is_doubtful(self) -> bool:
        """Whether there are answers to examine."""
        return bool(self._doubtful)

    def take(self, waiting: list[Waiting]) -> list[Waiting]:
        """Remove and return the oldest request and those that may share its call, in order."""
        first = waiting.pop(0)
        if not self.enabled or first.key is None or not first.rows:
            return [first]
        group, others, rows = [first], [], first.rows
        for request in waiting:
            if request.key == first.key and rows + request.rows <= self.max_rows:
                group.append(request)
                rows += request.rows
            else:
                others.append(request)
        waiting[:] = others
        return group

    def answer(self, group: list[Waiting], call: Call) -> Iterator[list[Answered]]:
        """Yield (request, result, error) for each request, as soon as a call has answered it.

        One call answers all requests if that is sound; else each request has its own call. Call
        `examine` when the answers have gone.
        """
        if self.trusted and len(group) > 1:
            shared = self._together(group, call, group)
            if shared is not None:
                answers: list[Answered] = [
                    (request, part, None) for request, part in zip(group, shared, strict=True)
                ]
                self._batches += 1
                if self._batches % CHECK_EVERY == 0:
                    self._doubtful = answers[:1]
                yield answers
                return
        tried = self.enabled and len(group) > 1
        answers = []
        for request in group:
            answers.append(self._alone(request, call, [request], kept=tried))
            yield answers[-1:]
        if tried and not self._starved:
            self._doubtful = [each for each in answers if each[2] is None]

    def rehearse(self, call: Call) -> None:
        """Ask one of the logged rows; then call `examine`, which asks several as a batch."""
        if not self.enabled or self.trusted:  # requests have given the evidence meanwhile
            self.logged.clear()
            return
        answered = self._alone(self.logged.pop(0), call, [], kept=True)
        if answered[2] is None:
            self._rehearsed.append(answered)
        if not self.logged or len(self._rehearsed) == self.max_rows:
            self._doubtful, self._rehearsed = self._rehearsed, []

    def examine(self, call: Call) -> None:
        """Ask answered requests once more, in the other way, and learn from a difference.

        A model that answers otherwise in a batch, fails there, or returns a result without one row
        for each row, is never asked to take a batch again.
        """
        answers, self._doubtful = self._doubtful, []
        if not answers or not self.enabled:
            return
        requests = [request for request, _, _ in answers]
        rows = {row for request in requests for row in self.data.fingerprints(request.data)}
        if not self.trusted and rows <= self._seen:
            return  # rows that were compared before are no new evidence
        results = [result for _, result, _ in answers]
        if len(answers) == 1:
            if not self.trusted:
                return
            _, again, error = self._alone(requests[0], call, [])
            self._starved = isinstance(error, MemoryError)
            parts = None if error is not None else [again]
        else:
            parts = self._together(requests, call, [])
        if self._starved:
            return  # the memory did not suffice: no evidence either way
        if parts is None:
            self._stop("it did not answer a batch, but answered each of its requests")
        elif not all(map(self.data.equal, parts, results)):
            self._stop("its answers in a batch are not those that it gives to each request alone")
        elif not self.trusted:
            self._seen |= rows
            if len(self._seen) >= EVIDENCE:
                self.trusted = True
                self.log_lines.append(f"batching is on: {len(self._seen)} rows were answered alike")

    def _together(self, group: list[Waiting], call: Call, asked: list[Waiting]) -> list[Any] | None:
        self._starved = False
        try:
            result = call(asked, self.data.join([request.data for request in group]), None)
            return self.data.cut(result, [request.rows for request in group])
        except MemoryError:
            self._take_less(sum(request.rows for request in group))
            return None
        except Exception:  # noqa: BLE001 - whatever it was, each request gets its own answer or its own error
            return None

    def _alone(
        self, request: Waiting, call: Call, asked: list[Waiting], *, kept: bool = False
    ) -> Answered:
        try:
            data = self.data.copy(request.data) if kept else request.data
            result = call(asked, data, request.params)
            if self.enabled and request.rows and self.data.cut(result, [request.rows]) is None:
                self._stop("what it returns does not have one row for each row of the input")
        except Exception as error:  # noqa: BLE001 - a model may raise anything; it is the answer
            return request, None, error
        return request, result, None

    def _take_less(self, rows: int) -> None:
        """Lower the row limit after a call of `rows` rows ran out of memory.

        That is no evidence about the model's answers.
        """
        self._starved = True
        self.max_rows = max(1, min(self.max_rows, rows // 2))
        self.log_lines.append(
            f"batches have at most {self.max_rows} rows: {rows} took too much memory"
        )

    def _stop(self, why: str) -> None:
        if self.enabled:
            self.enabled = self.trusted = False
            self.log_lines.append(f"batching is off for this model: {why}")
