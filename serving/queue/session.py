"""Consume, answer and publish over one pair of connections, until something is wrong.

A message is acknowledged after the broker has confirmed all of its results, or its dead letter.
Nothing is acknowledged otherwise: what a session leaves, its broker delivers again.

Two connections, since a broker that is short of memory or disk blocks those that publish, and an
acknowledgement must not wait behind a result.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from aiormq import Channel, exceptions
from pamqp.commands import Basic

from serving.inference import outcome
from serving.queue import broker, contract
from serving.queue.asker import Asker
from serving.queue.broker import Trouble, trouble_of
from serving.queue.consumer import IN_FLIGHT, IN_FLIGHT_BY_TURNS, Consumer
from serving.queue.disposition import Next
from serving.queue.publisher import Publisher
from serving.queue.results import Results
from serving.queue.share import Turns, until_next

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

    from serving.inference import Inference
    from serving.predictor import Predictor, QueueConsumer
    from serving.queue.counts import Counts
    from serving.queue.share import Share

HELD = 8
"""Number of largest bodies that may be in flight at the same time."""
LARGE_SECONDS = 60.0
"""For so long after there was no room, fewer messages are taken at a time."""
CLOSE_SECONDS = 2.0


class Work(NamedTuple):
    """What every session of a server shares."""

    predictor: Predictor
    settings: QueueConsumer
    inference: Inference
    counts: Counts


class Session:
    """One pair of connections, and the messages in flight on it.

    Args:
        work: what is served.
        share: tells the server's share of the messages.
        probe: whether one message must pass before more are consumed: the last session ended
            because a result was refused.

    Attributes:
        blocked: whether the broker takes no results for now.
        probing: whether no message has passed yet that must.
        progressed: whether a message has passed.
        drained: set when `drain` has ended.
        changed: set when consuming may have to begin or to end.
    """

    def __init__(self, work: Work, share: Callable[[], Share], *, probe: bool) -> None:
        self._predictor, self._settings, self._inference, self._counts = work
        self._share, self.probing = share, probe
        self._turns = Turns()
        self._asker = Asker(work.predictor, work.settings.attempts, work.inference)
        self._connections: list[AbstractConnection] = []
        self._channels: list[AbstractChannel] = []
        self._consumer: Consumer | None = None
        self._results: Results | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        self._held = self._biggest = self._peak = 0
        self._full_at = -LARGE_SECONDS
        self._most = HELD * work.predictor.max_body_bytes
        self._full = self._draining = self.blocked = self.progressed = False
        self.changed, self.drained = asyncio.Event(), asyncio.Event()
        self._adjusting = asyncio.Lock()

    @property
    def in_flight(self) -> int:
        """The number of messages that are neither acknowledged nor given back."""
        return len(self._tasks)

    @property
    def held(self) -> int:
        """The bytes of those messages."""
        return self._held

    @property
    def consumes(self) -> bool:
        """Whether messages are delivered at the moment."""
        return self._consumer is not None and self._consumer.consumes

    async def open(self) -> None:
        """Connect, and check the queues.

        Raises:
            Trouble: the broker is away, or a queue missing or refused.
        """
        name = self._predictor.predictor
        for purpose in ("consume", "publish"):
            self._connections.append(await broker.connect(self._settings, f"{name} {purpose}"))
        consuming, publishing = self._connections
        await broker.check(consuming, self._settings)
        try:
            async with asyncio.timeout(broker.CHECK_SECONDS):
                channel = await consuming.channel(publisher_confirms=False)
                out = await publishing.channel(publisher_confirms=True)
                assert isinstance(out, Channel)  # noqa: S101 - its abstract class lacks `wait`
        except (exceptions.AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise trouble_of(error, "channel") from error
        self._channels = [channel, out]
        channel.on_consumer_cancel_callbacks.add(self._cancelled)
        self._results = Results(self._predictor, self._settings, Publisher(out))
        tag = f"{name}-{os.urandom(4).hex()}"
        self._consumer = Consumer(channel, self._settings.source, tag, self._take)

    async def run(self) -> None:
        """Consume until `drain`.

        Raises:
            Trouble: why the session cannot go on.
        """
        while not self._draining:
            try:
                await self._adjust()
                for channel in self._channels:
                    await broker.usable(channel)
            except (exceptions.AMQPError, OSError, RuntimeError) as error:
                raise trouble_of(error, f"queue '{self._settings.source}'") from error
            await self._watch_blocked()
            self.changed.clear()
            changed = asyncio.ensure_future(self.changed.wait())
            await asyncio.wait(
                (self._trouble, changed),
                timeout=until_next(time.time()) + 0.001,
                return_when=asyncio.FIRST_COMPLETED,
            )
            changed.cancel()
            if self._trouble.done():
                raise self._trouble.result()

    async def drain(self, seconds: float) -> None:
        """Consume nothing more, finish what is in flight, and give back what takes too long."""
        self._draining = True
        self.changed.set()
        if self._consumer is not None:
            with suppress(exceptions.AMQPError, OSError, RuntimeError):
                async with self._adjusting:
                    await self._consumer.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        self.drained.set()

    async def close(self) -> None:
        """End; the broker gives what is in flight to another consumer."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for connection in self._connections:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()

    # -- consuming

    async def _adjust(self) -> None:
        """Start or stop to consume, by the server's share of this moment."""
        assert self._consumer is not None  # noqa: S101 - opened
        if self._full and self._held <= self._most // 2:
            self._full = False
        share = self._share()
        automatic = IN_FLIGHT if share.is_whole else IN_FLIGHT_BY_TURNS
        prefetch = self._settings.prefetch or automatic
        if time.monotonic() - self._full_at < LARGE_SECONDS:
            prefetch = max(1, min(prefetch, self._most // self._biggest))
        if self.probing:
            prefetch = 1
        filled, self._peak = self._peak >= prefetch, 0
        turn = self._turns.consumes(share, time.time(), self.in_flight, filled=filled)
        async with self._adjusting:
            if turn and self._inference.ready and not self._full and not self._draining:
                await self._consumer.start(prefetch)
            else:
                await self._consumer.stop()

    async def _watch_blocked(self) -> None:
        try:
            async with asyncio.timeout(0.01):
                await self._connections[1].ready()
            self.blocked = False
        except TimeoutError:
            self.blocked = True

    def _cancelled(self, _frame: object) -> None:
        said = f"the broker ended our consumer: the queue '{self._settings.source}' was deleted"
        self._end(Trouble(broker.MISSING, said))

    def _end(self, trouble: Trouble) -> None:
        if not self._trouble.done():
            self._trouble.set_result(trouble)

    def _take(self, message: DeliveredMessage) -> None:
        size = len(message.body)
        work: Coroutine[None, None, None]
        if self._held and self._held + size > self._most:
            self._full, self._full_at = True, time.monotonic()
            self._biggest = max(self._biggest, size)
            self.changed.set()
            work = self._give_back(message)
            size = 0
        else:
            work = self._answer(message)
        self._held += size
        task = asyncio.get_running_loop().create_task(self._guarded(work, size))
        self._tasks.add(task)
        self._peak = max(self._peak, len(self._tasks))
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None], size: int) -> None:
        try:
            await work
        except Trouble as trouble:
            self._end(trouble)
        except (exceptions.AMQPError, OSError, RuntimeError) as error:
            self._end(trouble_of(error, f"queue '{self._settings.source}'"))
        except Exception as error:  # noqa: BLE001 - a message must not stay in flight for ever
            self._end(broker.fault(error))
        finally:
            self._held -= size

    # -- one message

    async def _answer(self, message: DeliveredMessage) -> None:
        redelivered = bool(getattr(message.delivery, "redelivered", False))
        asked = contract.received(message.body, message.header.properties, redelivered=redelivered)
        begin = time.perf_counter()
        answer, what = await self._asker.ask(asked)
        if what.next is Next.LATER:
            await self._give_back(message)
            return
        seconds = time.perf_counter() - begin
        self._counts.answered(answer.status, seconds, outcome(answer))
        assert self._results is not None  # noqa: S101 - opened
        if what.next is Next.PUBLISH:
            await self._results.answer(answer, asked)
        else:
            await self._results.dead_letter(answer, asked, what.reason)
            self._counts.dead(what.reason)
        await self._channels[0].basic_ack(_tag(message), wait=False)
        self.progressed, self.probing = True, False

    async def _give_back(self, message: DeliveredMessage) -> None:
        self._counts.given_back()
        await self._channels[0].basic_nack(_tag(message), requeue=True, wait=False)


def _tag(message: DeliveredMessage) -> int:
    assert isinstance(message.delivery, Basic.Deliver)  # noqa: S101 - only consumed ones come here
    return message.delivery.delivery_tag or 0
