"""Which frames acknowledge messages, checked by a broker's own rule."""

from __future__ import annotations

from hypothesis import given, strategies as st

from serving.queue.amqp.acks import Acks


class Unacknowledged:
    """What a broker has delivered and not heard of; it refuses other tags, as RabbitMQ does."""

    def __init__(self, count: int) -> None:
        self.tags = set(range(1, count + 1))

    def acknowledge(self, tag: int, multiple: bool) -> set[int]:
        assert tag in self.tags
        ended = {each for each in self.tags if each <= tag} if multiple else {tag}
        self.tags -= ended
        return ended


@given(
    st.permutations(range(1, 25)),
    st.lists(st.integers(1, 6), min_size=24, max_size=24),
    st.sets(st.integers(1, 24)),
)
def test_every_message_is_acknowledged_once_and_none_that_is_in_flight(order, sizes, given_back):
    acks, broker = Acks(), Unacknowledged(24)
    waiting = list(order)
    for size in sizes:
        now, waiting = waiting[:size], waiting[size:]
        answered = {tag for tag in now if tag not in given_back}
        for tag in set(now) & given_back:
            acks.given_back(tag)
            broker.tags.discard(tag)
        ended: set[int] = set()
        for tag, multiple in acks.frames(answered):
            ended |= broker.acknowledge(tag, multiple)
        assert ended == answered
    assert broker.tags == set(waiting)


def test_a_run_is_one_frame_and_a_slow_message_holds_no_other_back():
    acks = Acks()
    assert acks.frames({1, 2, 3}) == [(3, True)]
    assert acks.frames({5, 6}) == [(5, False), (6, False)]  # 4 takes long
    assert acks.frames({4, 7}) == [(7, True)]
    assert acks.frames({8}) == [(8, False)]
