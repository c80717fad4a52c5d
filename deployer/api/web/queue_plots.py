"""Lay out the small plots of a queue over the last minutes: what waits, what is answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deployer.api.schema.queues import QueuePoint
from deployer.api.web.plots import Line, line


class QueuePlot(NamedTuple):
    """One measure of a queue over time. `most` is the value at the upper edge, in words."""

    name: str
    most: str
    line: Line


def plots(history: Sequence[QueuePoint]) -> list[QueuePlot]:
    """Draw what waits, what is answered per second, and the dead letters; nothing of no points."""
    if not history:
        return []
    return [
        _plot("messages that wait", [point["ready"] for point in history]),
        _plot("answered per second", [point["answered_per_second"] for point in history]),
        _plot("dead letters", [point["dead"] for point in history]),
    ]


def _plot(name: str, values: Sequence[float | None]) -> QueuePlot:
    most = max((value for value in values if value is not None), default=0.0)
    return QueuePlot(name, _words(most), line(values, most, _words))


def _words(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
