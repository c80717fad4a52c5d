"""Waiting requests go in; those that one call may answer come out, and an answer for each.

There is no timer: a batch is what queued while the worker was busy. What `join` and `cut` do to the
data is the caller's (scoring.py knows pandas and numpy); this file knows order, limits and
failures. Runs in the worker: standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Waiting:
    """A request that was read and found valid by itself."""

    id: int
    kind: int
    data: Any
    params: Any
    rows: int
    """How many answers the model owes, 0 where that is not known."""
    key: Hashable
    """Requests with equal keys may share a call; None shares with nobody."""
    render: Callable[[Any], bytes]
    """What the model returned -> the frame that answers."""


@dataclass
class Batching:
    """How requests are put together, and whether the model has shown that it can take it."""

    enabled: bool
    max_rows: int
    join: Callable[[list[Any]], Any]
    cut: Callable[[Any, list[int]], list[Any] | None]
    """A batch's result, rows of each request -> a result for each; None if it has no such rows."""
    said: list[str] = field(default_factory=list)
    """Why batching was switched off, in words for the log."""

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

    def answer(
        self, group: list[Waiting], predict: Callable[[Any, Any], Any]
    ) -> list[tuple[Waiting, Any, Exception | None]]:
        """Return (request, result, error) for each: one call for all if that works, else singly.

        A model that fails a batch, but answers each of its requests, or that returns something
        without one row for each row, is not asked to take a batch again.
        """
        shared = self._together(group, predict) if len(group) > 1 else None
        if shared is not None:
            return [(request, part, None) for request, part in zip(group, shared, strict=True)]
        answers = [self._alone(request, predict) for request in group]
        if len(group) > 1 and all(error is None for _, _, error in answers):
            self._stop("it did not answer a batch, but answered each of its requests")
        return answers

    def _together(
        self, group: list[Waiting], predict: Callable[[Any, Any], Any]
    ) -> list[Any] | None:
        try:
            result = predict(self.join([request.data for request in group]), None)
            return self.cut(result, [request.rows for request in group])
        except Exception:  # noqa: BLE001 - whatever it was, each request gets its own answer or its own error
            return None

    def _alone(
        self, request: Waiting, predict: Callable[[Any, Any], Any]
    ) -> tuple[Waiting, Any, Exception | None]:
        try:
            result = predict(request.data, request.params)
            if self.enabled and request.rows and self.cut(result, [request.rows]) is None:
                self._stop("what it returns does not have one row for each row of the input")
        except Exception as error:  # noqa: BLE001 - a model may raise anything; it is the answer
            return request, None, error
        return request, result, None

    def _stop(self, why: str) -> None:
        if self.enabled:
            self.enabled = False
            self.said.append(f"batching is off for this model: {why}")
