"""How many replicas a queue gets, over simulated time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from deployer.scaling.decide import DOWN_SECONDS, EVIDENCE_SECONDS, Bounds, Reading, decide, needed

BOUNDS = Bounds(least=1, most=8, messages=100)
POLL = 2.0


def played(bounds: Bounds, depths: list[int], current: int = 1) -> list[int]:
    """Play the depths of a queue, one reading each POLL; the number of replicas after each."""
    readings: list[Reading] = []
    removed_at, found = float("-inf"), []
    for number, depth in enumerate(depths):
        now = number * POLL
        readings.append(Reading(now, depth, 0))
        wanted = decide(current, readings, bounds, removed_at, now)
        removed_at = now if wanted < current else removed_at
        current = wanted
        found.append(current)
    return found


def test_a_burst_gets_twice_as_many_replicas_with_each_reading():
    assert played(BOUNDS, [50, 5000, 5000, 5000, 5000]) == [1, 2, 4, 8, 8]


def test_what_is_in_flight_counts():
    assert needed(Reading(0, 50, 51), BOUNDS) == 2
    assert needed(Reading(0, 0, 100), BOUNDS) == 1


def test_a_queue_that_is_empty_loses_replicas_late_and_one_at_a_time():
    steps = int((EVIDENCE_SECONDS + 10 * DOWN_SECONDS) / POLL)
    found = played(BOUNDS, [5000] * 5 + [0] * steps, current=8)
    changes = [
        number * POLL for number in range(1, len(found)) if found[number] < found[number - 1]
    ]
    assert found[-1] == 1
    assert changes[0] - 4 * POLL >= EVIDENCE_SECONDS
    assert all(after - before >= DOWN_SECONDS for before, after in pairwise(changes))
    assert {before - after for before, after in pairwise(found)} <= {0, 1}


def test_a_lull_shorter_than_the_evidence_takes_no_replica_away():
    lull = [0] * int(EVIDENCE_SECONDS / POLL - 2)
    assert set(played(BOUNDS, [350, *lull] * 5, current=4)) == {4}


def test_zero_is_allowed_and_left_at_once():
    none = Bounds(least=0, most=4, messages=100)
    assert played(none, [0] * 60)[-1] == 0
    assert played(none, [1], current=0) == [1]
    assert played(none, [0, 0, 0], current=0) == [0, 0, 0]


def test_nothing_is_concluded_without_a_reading():
    assert decide(3, [], BOUNDS, float("-inf"), 1000.0) == 3


@pytest.mark.parametrize(("current", "expected"), [(0, 1), (12, 8)])
def test_new_bounds_hold_at_once(current, expected):
    assert decide(current, [], BOUNDS, float("-inf"), 0.0) == expected


@given(
    depths=st.lists(st.integers(0, 10_000), min_size=1, max_size=200),
    least=st.integers(0, 4),
    more=st.integers(0, 12),
    messages=st.integers(1, 1000),
)
def test_the_bounds_hold_whatever_the_queue_does(depths, least, more, messages):
    bounds = Bounds(least, max(1, least + more), messages)
    found = played(bounds, depths, current=max(1, least))
    assert all(bounds.least <= one <= bounds.most for one in found)
    for before, after, depth in zip(found, found[1:], depths[1:], strict=False):
        assert after <= max(1, 2 * before)
        assert after >= before - 1
        if depth > messages * before and before < bounds.most:
            assert after > before
