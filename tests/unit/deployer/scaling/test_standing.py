"""What somebody should know of a queue, from its last points."""

from __future__ import annotations

import pytest

from deployer.scaling.standing import Point, standing
from deployer.state.reasons import Reason

TEN = range(0, 100, 10)


def at(seconds: float, ready: int | None = 0, rate: float | None = 1.0, dead: int = 0) -> Point:
    return Point(float(seconds), ready, 1, dead, rate)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], None),
        ([at(t) for t in TEN], None),
        ([at(t, 61) for t in TEN], Reason.BACKLOG),
        ([at(t, 60) for t in TEN], None),
        ([at(t, 1, rate=0) for t in TEN], Reason.BACKLOG),
        ([at(t, 1, rate=None) for t in TEN], Reason.BACKLOG),
        ([at(t, None) for t in TEN], None),
        ([at(t, 61) for t in TEN[:6]], None),  # for fifty seconds
        ([*(at(t, 61) for t in TEN[:-3]), at(70, 10), at(80, 61), at(90, 61)], None),
    ],
)
def test_a_backlog_is_more_than_a_minutes_work_for_a_minute(points, expected):
    assert standing(points) is expected


@pytest.mark.parametrize(
    ("dead", "expected"),
    [
        ([0, 0, 0], None),
        ([3, 3, 3], None),  # they were there before
        ([0, 2, 2], Reason.DEAD_LETTERING),
        ([5, 0, 0], None),  # somebody sent them again
        ([5, 0, 1], Reason.DEAD_LETTERING),
    ],
)
def test_new_dead_letters_are_told(dead, expected):
    assert standing([at(10 * n, dead=count) for n, count in enumerate(dead)]) is expected


def test_dead_letters_of_long_ago_are_told_no_more():
    points = [at(0, dead=0), at(10, dead=1), *(at(t, dead=1) for t in range(20, 400, 10))]
    assert standing(points[:30]) is Reason.DEAD_LETTERING
    assert standing(points) is None
