"""Lay out the small plots of a rollout: what both versions counted, and how far they may differ.

Pure. Coordinates are those of an SVG of WIDTH by HEIGHT, whose y goes down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from deployer.api.schema import rollouts
from deployer.rollout.metrics import latency
from deployer.state.evidence import Arm, Window

WIDTH: Final = 280
HEIGHT: Final = 60
MOST: Final = 90
"""Windows that a plot shows: fifteen minutes."""


class Line(NamedTuple):
    """What one version counted: points for a polyline, and the last value in words."""

    points: str
    last: str


class Plot(NamedTuple):
    """One metric over time. `most` is the value at the upper edge, in words."""

    name: str
    most: str
    new: Line
    old: Line


class Band(NamedTuple):
    """The difference of a metric: its limits, zero and what is allowed, from 0 to WIDTH."""

    name: str
    outcome: str
    left: float
    wide: float
    zero: float
    margin: float
    words: str


def plots(windows: Sequence[Window]) -> list[Plot]:
    """Draw the last windows; a bake's first window has what its predecessor counted before."""
    if not windows:
        return []
    shown = windows[-MOST:]
    bakes = all(not window.champion.answered for window in windows[1:])
    before = windows[0].champion if bakes else None
    old = [before or window.champion for window in shown]
    new = [window.candidate for window in shown]
    return [
        _plot("errors", _errors, _percent, new, old),
        _plot("latency p50", _middle, latency.short_time, new, old),
    ]


def bands(judgement: rollouts.Judgement | None) -> list[Band]:
    """Draw the differences of rates that have limits, and the margin that each has to keep."""
    found = []
    for one in judgement["metrics"] if judgement else ():
        low, high, margin = one["low"], one["high"], one["margin"]
        if low is None or high is None or margin is None or one["metric"].startswith("latency"):
            continue
        most = 1.1 * max(abs(low), abs(high), margin)

        def place(value: float, most: float = most) -> float:
            return round((value / most + 1) / 2 * WIDTH, 1)

        words = f"{100 * low:.2g} to {100 * high:.2g} points, {100 * margin:.2g} allowed"
        left = place(low)
        found.append(
            Band(
                one["metric"],
                one["outcome"],
                left,
                round(max(1.0, place(high) - left), 1),
                place(0.0),
                place(margin),
                words,
            )
        )
    return found


def _plot(
    name: str,
    measure: Callable[[Arm], float | None],
    words: Callable[[float], str],
    new: Sequence[Arm],
    old: Sequence[Arm],
) -> Plot:
    values = [[measure(arm) for arm in arms] for arms in (new, old)]
    most = max((value for line in values for value in line if value is not None), default=0.0)
    lines = [line(each, most, words) for each in values]
    return Plot(name, words(most), *lines)


def line(values: Sequence[float | None], most: float, words: Callable[[float], str]) -> Line:
    """Join the values that are there; what nobody counted leaves no point."""
    step = WIDTH / max(1, len(values) - 1)
    there = [(number, value) for number, value in enumerate(values) if value is not None]
    points = " ".join(
        f"{number * step:.1f},{HEIGHT - 2 - (HEIGHT - 4) * value / (most or 1.0):.1f}"
        for number, value in there
    )
    return Line(points, words(there[-1][1]) if there else "nothing yet")


def _errors(arm: Arm) -> float | None:
    return arm.errors / arm.answered if arm.answered else None


def _middle(arm: Arm) -> float | None:
    return latency.measured(arm.seconds, "p50")


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
