"""Requests that wait: bounded, in order, each answered once, and none lost with a worker."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from serving.backends import queue as queue_of
from serving.backends.base import Deadline, DeadlineExceeded
from serving.backends.link import PIECE, Link, WorkerGone
from serving.backends.queue import GROUP_BYTES, Overloaded, PoisonRequest, Queue, Ticket
from serving.backends.worker_exit import recent_deaths
from serving.worker import framing
from serving.worker.framing import Frame, FrameDecoder


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def ticket(loop, payload=b"x"):
    return Ticket(framing.INVOKE, (payload,), loop.create_future())


def queue(**more):
    return Queue(**{"most_bytes": 100, "group": 3, "most": 5, **more})


def names(tickets):
    return [each.payload[0] for each in tickets]


def test_they_are_handed_out_in_order_and_in_groups(loop):
    waiting = queue()
    for name in (b"a", b"b", b"c", b"d"):
        waiting.put(ticket(loop, name))
    assert (len(waiting), waiting.bytes) == (4, 4)
    assert names(waiting.take()) == [b"a", b"b", b"c"]
    assert names(waiting.take()) == [b"d"]
    assert waiting.take() == []
    assert waiting.bytes == 0


def test_too_many_and_too_much_are_refused_at_once_but_one_is_always_taken(loop):
    waiting = queue()
    waiting.put(ticket(loop, b"x" * 1_000))
    with pytest.raises(Overloaded):
        waiting.put(ticket(loop))
    waiting.take()
    for _ in range(5):
        waiting.put(ticket(loop))
    with pytest.raises(Overloaded, match="5 requests wait already"):
        waiting.put(ticket(loop))


def test_large_ones_are_handed_out_by_themselves(loop):
    waiting = queue(most_bytes=10 * GROUP_BYTES)
    for name in (b"a", b"b" * GROUP_BYTES, b"c"):
        waiting.put(ticket(loop, name))
    assert [len(group) for group in (waiting.take(), waiting.take(), waiting.take())] == [1, 1, 1]


def test_what_nobody_waits_for_is_not_handed_out(loop):
    waiting = queue()
    first, second, third = (ticket(loop, name) for name in (b"a", b"b", b"c"))
    for each in (first, second, third):
        waiting.put(each)
    first.answer.cancel()
    waiting.forget(second)
    waiting.forget(second)
    assert names(waiting.take()) == [b"c"]
    assert (len(waiting), waiting.bytes) == (0, 0)


def test_a_request_that_was_handed_out_is_forgotten_without_a_look_at_its_body(loop):
    class Unshown(bytes):
        def __repr__(self):
            raise AssertionError("15 MiB of text, in one turn of the loop")

    waiting, sent = queue(), ticket(loop, Unshown(b"x"))
    waiting.put(sent)
    waiting.take()
    waiting.forget(sent)
    assert waiting.bytes == 0
    assert "payload" not in repr(sent)


def test_what_a_dead_worker_had_not_begun_comes_first_and_what_it_died_of_comes_alone(loop):
    waiting = queue()
    sent = [ticket(loop, name) for name in (b"a", b"b", b"c")]
    waiting.put(ticket(loop, b"d"))
    waiting.put_back(sent, frozenset(sent[:2]))
    assert waiting.suspects_next
    assert [names(waiting.take()) for _ in range(3)] == [[b"a"], [b"b"], [b"c", b"d"]]
    assert not waiting.suspects_next


def test_what_killed_twice_is_refused_and_so_is_the_like_of_it(loop):
    waiting = queue()
    guilty, innocent = ticket(loop, b"guilty"), ticket(loop, b"innocent")
    waiting.put_back([guilty, innocent], frozenset([guilty, innocent]))
    assert names(waiting.take()) == [b"guilty"]
    waiting.put_back([guilty], frozenset([guilty]))
    assert isinstance(guilty.answer.exception(), PoisonRequest)
    assert names(waiting.take()) == [b"innocent"]
    with pytest.raises(PoisonRequest):
        waiting.put(ticket(loop, b"guilty"))
    waiting.put(ticket(loop, b"another"))


def test_only_what_has_the_size_of_a_poison_is_compared_with_it(loop, monkeypatch):
    waiting, named = queue(), []
    guilty = ticket(loop, b"guilty")
    for _ in range(2):
        waiting.put_back([guilty], frozenset([guilty]))
        waiting.take()
    name = queue_of._name
    monkeypatch.setattr(queue_of, "_name", lambda each: named.append(each.payload) or name(each))
    waiting.put(ticket(loop, b"another"))
    waiting.put(ticket(loop, b"guilt!"))
    assert named == [(b"guilt!",)]


def test_at_the_end_everybody_is_told(loop):
    waiting = queue()
    some = [ticket(loop) for _ in range(3)]
    for each in some:
        waiting.put(each)
    some[0].answer.cancel()
    waiting.fail(WorkerGone("the server ends"))
    assert len(waiting) == 0
    assert all(isinstance(each.answer.exception(), WorkerGone) for each in some[1:])


class Worker:
    """The other end of a link, in plain values."""

    def __init__(self, loop):
        self.news, self.rooms, self._cutter = [], 0, FrameDecoder()

        async def make():
            return Link(self.news.append, self._room)

        self.link = loop.run_until_complete(make())
        self.link.connection_made(self)
        self.got = []

    def _room(self):
        self.rooms += 1

    def write(self, data):
        self.got += self._cutter.feed(data)

    def is_closing(self):
        return False

    def say(self, request_id, kind=framing.ANSWER, payload=b""):
        self.link.data_received(framing.pack(request_id, kind, payload))

    def call(self, *ids):
        self.say(0, framing.CALLING, framing.pack_ids(ids))


def test_what_is_large_is_sent_in_pieces_as_the_worker_reads_them(loop):
    worker, written, write = Worker(loop), [], None
    write = worker.write

    def slow(data):
        written.append(len(data))
        write(data)
        worker.link.pause_writing()

    worker.write = slow
    payload = bytes(range(256)) * (3 * PIECE // 256)
    one, two = ticket(loop, payload), ticket(loop, b"small")
    worker.link.send([one])
    worker.link.send([two])
    worker.link.forget(two)
    assert worker.got == []
    assert len(written) == 1
    while len(worker.got) < 3:
        worker.link.resume_writing()
    assert max(written) <= PIECE
    assert worker.got == [
        Frame(1, framing.INVOKE, payload),
        Frame(2, framing.INVOKE, b"small"),
        Frame(2, framing.CANCEL, b""),
    ]


def test_a_request_is_waited_for_no_longer_than_its_body_says(loop):
    worker, one = Worker(loop), ticket(loop)

    async def ask(said):
        async with Deadline(600) as one.deadline:
            worker.link.send([one])
            for seconds in said:
                worker.say(1, framing.DEADLINE, framing.pack_seconds(seconds))
            return await one.answer

    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        loop.run_until_complete(ask([900, 0.01, 5]))
    assert one.answer.cancelled()
    worker.say(1, framing.DEADLINE, framing.pack_seconds(0.01))  # too late to matter


def test_a_link_has_room_for_two_groups(loop):
    worker = Worker(loop)
    link, first = worker.link, [ticket(loop), ticket(loop)]
    assert link.is_idle
    link.send(first)
    assert link.has_room
    link.send([ticket(loop)])
    assert not link.has_room
    assert [frame.id for frame in worker.got] == [1, 2, 3]
    worker.say(1)
    assert (link.has_room, worker.rooms) == (False, 0)
    worker.say(2)
    assert (link.has_room, worker.rooms) == (True, 1)
    assert first[0].answer.result() == Frame(1, framing.ANSWER, b"")


def test_beside_one_that_is_suspected_a_link_has_no_room(loop):
    worker = Worker(loop)
    suspect = ticket(loop)
    suspect.deaths = 1
    worker.link.send([suspect])
    assert not worker.link.has_room
    worker.say(1)
    assert worker.link.has_room


def test_a_cancelled_request_gives_its_room_back_when_the_worker_says_so(loop):
    worker = Worker(loop)
    one = ticket(loop)
    worker.link.send([one])
    one.answer.cancel()
    worker.link.forget(one)
    assert worker.got[-1] == Frame(1, framing.CANCEL, b"")
    assert not worker.link.is_idle
    worker.say(1, framing.LEFT_OUT)
    assert worker.link.is_idle


def test_a_link_knows_whose_call_a_worker_died_in(loop):
    worker = Worker(loop)
    sent = [ticket(loop, name) for name in (b"a", b"b", b"c")]
    worker.link.send(sent)
    worker.call(1, 2)
    assert worker.link.unanswered() == (sent, frozenset(sent[:2]))
    worker.say(0, framing.BATCH, framing.pack_batch(2, 2, 0.1))
    assert worker.link.call is None
    worker.say(1)
    worker.say(2)
    assert worker.link.unanswered() == (sent[2:], frozenset(sent[2:]))  # one may be read now
    worker.call()
    assert worker.link.call is not None  # one that nobody waits for can hang, too
    worker.say(0, framing.CALLING, framing.pack_ids(None))
    assert worker.link.call is None


def test_a_call_whose_word_was_read_late_began_no_later_than_its_seconds_before_its_end(loop):
    worker, one = Worker(loop), ticket(loop)
    worker.link.send([one])
    worker.call(1)
    worker.say(0, framing.BATCH, framing.pack_batch(1, 1, 0.1))  # read in the same turn
    assert one.predicted == 0.1
    assert one.called <= time.perf_counter() - 0.1


def test_a_worker_that_has_something_to_do_and_says_nothing_is_silent(loop, monkeypatch):
    worker, now = Worker(loop), [100.0]
    monkeypatch.setattr(worker.link, "_loop", SimpleNamespace(time=lambda: now[0]))

    def later(seconds):
        now[0] += seconds
        return worker.link.silent_for()

    assert later(50) == 0  # it was asked nothing
    worker.link.send([ticket(loop, b"a")])
    assert later(3) == 3  # it reads
    worker.call(1)
    assert later(4) == 4  # it asks the model
    worker.link.send([ticket(loop, b"b")])
    assert later(1) == 5  # what comes meanwhile does not make it less silent
    worker.say(0, framing.BATCH, framing.pack_batch(1, 1, 0.1))
    worker.say(1)
    assert later(2) == 2
    worker.say(2)
    assert later(50) == 0
    worker.call()
    assert later(6) == 6  # a call that nobody waits for


@given(st.lists(st.integers(0, 2**63)) | st.none())
def test_the_requests_of_a_call_cross_the_socket(ids):
    assert framing.unpack_ids(framing.pack_ids(ids)) == ids


# -- deaths


@pytest.mark.parametrize(
    ("lives", "count"),
    [
        ([], 0),
        ([7_200.0], 1),
        ([0.0, 0.0, 0.0], 3),
        ([7_200.0, 1.0, 1.0], 3),
        ([1.0, 7_200.0, 1.0], 2),
        ([1.0, 1.0, 7_200.0], 1),
        ([50.0, 50.0, 50.0], 2),
    ],
)
def test_deaths_are_counted_by_how_long_was_served_between_them(lives, count):
    assert recent_deaths(lives, 60.0) == count
