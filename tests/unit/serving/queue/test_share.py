"""Who consumes at which moment."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from serving.queue.share import (
    LONGEST_DEBT,
    SLOT,
    FollowedShare,
    Share,
    ShareFile,
    Turns,
    slot_of,
    until_next,
)

PREFETCH = 32
NOW = slot_of(1_800_000_000.0)


@given(
    st.lists(st.floats(0, 1), max_size=4),
    st.integers(min_value=0, max_value=2**36),
)
def test_in_every_slot_exactly_one_version_consumes(cuts, slot):
    edges = [0.0, *sorted(cuts), 1.0]
    shares = [Share(low, high) for low, high in pairwise(edges)]
    assert sum(share.holds(slot) for share in shares) == 1


@pytest.mark.parametrize("part", [0.01, 0.05, 0.1, 0.5, 0.9])
def test_a_share_is_kept_over_a_minute_and_its_slots_are_even(part):
    share = Share(1 - part, 1.0)
    slots = [slot for slot in range(NOW, NOW + int(300 / SLOT)) if share.holds(slot)]
    assert abs(len(slots) * SLOT / 300 - part) < 0.005
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    assert max(gaps) <= 3 / part  # three lengths of gaps at most: Steinhaus' theorem


def test_without_a_share_nothing_is_consumed_and_with_all_of_it_always():
    turns = Turns()
    for slot in range(NOW, NOW + 50):
        assert not turns.consumes(Share(0.4, 0.4), slot * SLOT, 0, filled=False)
    for slot in range(NOW, NOW + 50):
        assert turns.consumes(Share(), slot * SLOT, 10_000, filled=True)


class Server:
    """Answers one message after the other."""

    def __init__(self, share: Share, seconds_a_message: float) -> None:
        self._share, self._seconds = share, seconds_a_message
        self._turns = Turns()
        self._in_flight = self._peak = self.answered = 0
        self._worked = 0.0

    def step(self, now: float, seconds: float, waiting: int) -> int:
        """Go on for some time, and return how many of the waiting messages were taken."""
        filled, self._peak = self._peak >= PREFETCH, self._in_flight
        taken = 0
        if self._turns.consumes(self._share, now, self._in_flight, filled=filled):
            taken = min(waiting, PREFETCH - self._in_flight)
            self._in_flight += taken
            self._peak = max(self._peak, self._in_flight)
        self._worked += seconds
        while self._in_flight and self._worked >= self._seconds:
            self._in_flight -= 1
            self._worked -= self._seconds
            self.answered += 1
        if not self._in_flight:
            self._worked = 0.0
        return taken


def simulated(seconds_a_message: float, rate: float) -> float:
    """Return the part that a candidate with a share of 10 % answers, over an hour."""
    champion = Server(Share(0, 0.9), seconds_a_message)
    candidate = Server(Share(0.9, 1), seconds_a_message)
    waiting, step = 0.0, SLOT / 8
    for tick in range(int(3600 / step)):
        now = NOW * SLOT + (tick + 0.5) * step
        waiting += rate * step
        for server in (champion, candidate):
            waiting -= server.step(now, step, int(waiting))
    return candidate.answered / (candidate.answered + champion.answered)


@pytest.mark.parametrize(
    ("seconds_a_message", "rate"),
    [
        (0.0005, 100),
        (0.0005, 10_000),  # a backlog of a fast model
        (0.1, 5),
        (0.1, 100),  # and of a slow one
        (1.0, 100),
    ],
)
def test_a_backlog_gives_a_candidate_no_more_than_its_share(seconds_a_message, rate):
    assert 0.04 <= simulated(seconds_a_message, rate) <= 0.16


def test_a_debt_has_an_end():
    turns, share = Turns(), Share(0.5, 1)
    for slot in range(NOW, NOW + 10_000):  # a message that hangs
        turns.consumes(share, slot * SLOT, 32, filled=True)
    later = range(NOW + 10_000, NOW + 10_000 + int(2.5 * LONGEST_DEBT / SLOT))
    assert any(turns.consumes(share, slot * SLOT, 0, filled=False) for slot in later)


def test_the_next_slot_is_less_than_a_slot_away():
    for now in (0.0, 0.05, 1_800_000_000.123):
        assert 0 < until_next(now) <= SLOT
        assert slot_of(now + until_next(now) + 0.001) == slot_of(now) + 1


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"share": [0, 1]}', '{"share": [0.9, 0.1], "predictor": "p"}',
     '{"share": [0], "predictor": "p"}', '{"share": [0, 1, 2], "predictor": "p"}',
     '{"share": [0, 1], "predictor": "another"}'],
)  # fmt: skip
def test_a_kept_share_that_cannot_be_used_is_none(tmp_path, content):
    path = tmp_path / "share.json"
    assert ShareFile(path, "p").read() is None
    path.write_text(content)
    assert ShareFile(path, "p").read() is None


def test_a_kept_share_is_read_again(tmp_path):
    kept = ShareFile(tmp_path / "share.json", "p")
    kept.write(Share(0.25, 0.5))
    assert ShareFile(tmp_path / "share.json", "p").read() == Share(0.25, 0.5)


def test_a_share_is_followed_in_a_file_that_is_replaced(tmp_path):
    path = tmp_path / "share.json"
    followed = FollowedShare(path)
    assert followed.read() is None
    for text, expected in (
        ("[0, 0.9]", Share(0, 0.9)),
        ("[0.5, 0.2]", None),
        ("{", None),
        ("[0.9, 1]", Share(0.9, 1)),
    ):
        new = tmp_path / "new"
        new.write_text(text)
        new.replace(path)
        assert followed.read() == expected
        assert followed.read() is None
    path.unlink()
    assert followed.read() is None
