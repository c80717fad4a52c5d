"""Weights as shares of the messages, and what the servers took up as weights."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from deployer.targets import shares
from deployer.targets.shares import SILENT


def laid(*weights: int) -> list[tuple[float, float]]:
    weighted: Any = [SimpleNamespace(predictor=None, weight=weight) for weight in weights]
    return [share for _, share in shares.shares(weighted)]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((100,), [(0, 1)]),
        ((90, 10), [(0, 0.9), (0.9, 1)]),
        ((80, 10, 10, 0), [(0, 0.8), (0.8, 0.9), (0.9, 1), SILENT]),
        ((0, 100), [SILENT, (0, 1)]),
    ],
)
def test_weights_lie_side_by_side(weights, expected):
    assert laid(*weights) == expected


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(lambda w: sum(w) <= 100))
def test_no_message_belongs_to_two(weights):
    found = [share for share in laid(*weights) if share != SILENT]
    assert all(low < high <= 1 for low, high in found)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert [shares.weight([share]) for share in laid(*weights)] == weights


@pytest.mark.parametrize(
    ("taken", "weight"),
    [
        ([(0.0, 0.9)], 90),
        ([(0.0, 0.9), (0.0, 0.9)], 90),
        ([None], 0),
        ([], 0),
        ([(0.0, 1.0), None], 50),
        ([(0.9, 1.0), (0.5, 1.0)], 30),
    ],
)
def test_a_predictor_has_a_weight_once_all_its_replicas_have(taken, weight):
    assert shares.weight(taken) == weight


@pytest.mark.parametrize(
    ("routed", "consumed", "wanted", "live"),
    [(10, 10, 10, 10), (10, 50, 50, 10), (50, 10, 50, 10), (10, 0, 0, 10), (0, 10, 0, 10)],
)
def test_a_weight_is_live_once_gateway_and_queue_have_it(routed, consumed, wanted, live):
    assert shares.combine(routed, consumed, wanted) == live


@pytest.mark.parametrize(
    ("content", "share"),
    [
        ({"share": [0, 0.5]}, (0.0, 0.5)),
        ({"share": [0]}, None),
        ({"share": None}, None),
        ({"share": ["a", "b"]}, None),
        ({}, None),
    ],
)
def test_a_share_is_read_from_a_servers_file(content, share):
    assert shares.parse(content) == share
