"""What rollouts were judged by, over a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from support.evidence import kept_and_returned

from deployer.state.evidence import Arm, Trial, Window
from deployer.store.evidence import KEPT_WINDOWS, EvidenceStore, _pack, _unpack
from deployer.store.sqlite import Database

COUNTS = st.dictionaries(st.integers(0, 300), st.integers(0, 2**40), max_size=5)
ARMS = st.builds(
    Arm,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    COUNTS,
    st.dictionaries(st.text(max_size=20), st.integers(0, 9), max_size=4),
    COUNTS,
)
TRIAL = Trial("angler-prod", "digest", 100, "policy")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EvidenceStore]:
    database = Database(tmp_path / "deployer.db")
    yield EvidenceStore(database)
    database.close()


@given(st.integers(0, 2**40), ARMS, ARMS, COUNTS)
def test_a_window_comes_back_as_it_was(
    number: int, candidate: Arm, champion: Arm, reference: dict[int, int]
) -> None:
    window = Window(number, number + 3, candidate, champion, reference)
    assert _unpack(number, _pack(window)) == window


def test_windows_and_verdicts_are_kept_by_attempt(store: EvidenceStore) -> None:
    kept_and_returned(store)


def test_windows_are_kept_for_a_day_and_verdicts_for_good(store: EvidenceStore) -> None:
    first = Window(1_000, 1_000, Arm(5), Arm(5))
    store.append(TRIAL, [(0, first)])
    store.note(TRIAL, 0, 10_000.0, {"said": "much"})
    for number in (1_001, 1_000 + KEPT_WINDOWS):
        store.append(TRIAL, [(0, Window(number, number, Arm(5), Arm(5)))])
    assert store.windows(TRIAL)[0][1] == first
    late = 1_000 + 2 * KEPT_WINDOWS
    store.append(TRIAL, [(1, Window(late, late, Arm(5), Arm(5)))])
    assert [one.number for _, one in store.windows(TRIAL)] == [1_000 + KEPT_WINDOWS, late]
    assert store.verdicts("angler-prod") == [(TRIAL, 0, {"said": "much"})]
