"""How many messages are in flight."""

from __future__ import annotations

from hypothesis import given, strategies as st

from serving.queue.prefetch import LEARNED, REMEMBERED, Prefetch

MB = 2**20


def learned(*sizes: int) -> Prefetch:
    prefetch = Prefetch(128 * MB, 16 * MB)
    prefetch.took(redelivered=False)
    for size in (*sizes, *[1] * (LEARNED - len(sizes))):
        prefetch.saw(size, 0.0)
    return prefetch


def test_it_begins_with_one_then_with_as_many_as_fit_at_their_largest():
    prefetch = Prefetch(128 * MB, 16 * MB)
    assert prefetch.number(256) == 1
    assert prefetch.took(redelivered=False)
    assert prefetch.number(256) == 8
    changes = [prefetch.saw(100, 0.0) for _ in range(LEARNED)]
    assert changes[-1]
    assert prefetch.number(256) == 256


def test_large_messages_are_few_until_they_are_forgotten():
    prefetch = learned(5 * MB)
    assert prefetch.number(256) == 16  # 25 fit
    assert prefetch.saw(16 * MB, 1.0)
    assert prefetch.number(256) == 8
    prefetch.saw(1, REMEMBERED + 1)
    assert prefetch.number(256) == 8
    prefetch.saw(1, 2 * REMEMBERED + 2)
    assert prefetch.number(256) == 256


def test_redelivered_messages_are_taken_one_at_a_time():
    prefetch = learned()
    assert prefetch.took(redelivered=True)
    assert prefetch.number(256) == 1
    assert not prefetch.took(redelivered=False)
    assert prefetch.number(256) == 1  # the redelivered one is still in flight
    assert prefetch.ended()
    assert prefetch.number(256) == 256
    prefetch.took(redelivered=True)
    assert not prefetch.ended()
    assert prefetch.number(256) == 1  # as long as nothing else comes


@given(st.lists(st.integers(1, 16 * MB)), st.integers(1, 65_535))
def test_what_fits_is_never_exceeded(sizes, wanted):
    prefetch = learned(*sizes)
    number = prefetch.number(wanted)
    assert 1 <= number <= wanted
    assert number * max(sizes, default=1) <= 128 * MB
