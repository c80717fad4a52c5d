"""Who reads which frames of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pamqp.frame
import pytest
from pamqp.commands import Basic, Channel

from serving.queue.amqp import wire
from serving.queue.amqp.connection import PROOF_SECONDS, Tap

ACK = wire.acknowledgement(1, 1, multiple=False)
OTHER = pamqp.frame.marshal(Channel.OpenOk(), 1)
OF_ANOTHER_CHANNEL = pamqp.frame.marshal(Basic.QosOk(), 2)


class Stream:
    """A tap, and what the library reads behind it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self._reader = asyncio.StreamReader(loop=self.loop)
        self.tap = Tap(self._reader, self.loop)
        self.taken: list[bytes] = []
        self.tap.sinks[1] = self._take

    def _take(self, kind: int, frame: bytes) -> bool:
        if kind == wire.METHOD and wire.method_of(frame) == wire.ACK:
            self.taken.append(frame)
            return True
        return False

    def passed(self) -> bytes:
        """Return all that the library has read by the end of the stream."""
        self._reader.feed_eof()
        return self.loop.run_until_complete(self._reader.read())


@pytest.fixture
def stream() -> Iterator[Stream]:
    made = Stream()
    yield made
    made.loop.close()


def test_a_sink_gets_its_frames_and_the_library_the_others(stream):
    data = ACK + OTHER + OF_ANOTHER_CHANNEL + ACK
    for begin in range(0, len(data), 5):
        stream.tap.data_received(data[begin : begin + 5])
    assert stream.taken == [ACK, ACK]
    assert stream.passed() == OTHER + OF_ANOTHER_CHANNEL


def test_the_library_sees_that_the_broker_lives_while_a_sink_takes_every_frame(stream):
    for _ in range(4):
        stream.now += 0.6 * PROOF_SECONDS
        stream.tap.data_received(ACK)
    assert len(stream.taken) == 4
    assert stream.passed() == 2 * wire.HEARTBEAT
