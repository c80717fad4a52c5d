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

from aiormq import exceptions

from serving.queue import contract
from serving.queue.amqp import broker
from serving.queue.amqp.broker import Trouble, trouble_of
from serving.queue.amqp.consumer import Consumer
from serving.queue.amqp.publisher import Publisher
from serving.queue.answering import Answering
from serving.queue.prefetch import IN_FLIGHT, IN_FLIGHT_BY_TURNS, Prefetch
from serving.queue.results import Results
from serving.queue.share import Turns, until_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiormq.abc import AbstractChannel

    from serving.inference import Inference
    from serving.predictor import Predictor, QueueConsumer
    from serving.queue.amqp.connection import Connection
    from serving.queue.amqp.publisher import Refused
    from serving.queue.amqp.wire import Delivery
    from serving.queue.contract import Input
    from serving.queue.counts import Counts
    from serving.queue.share import Share
    from serving.queue.suspects import Suspects

HELD = 8
"""Number of largest bodies that may be in flight at the same time, answers included."""
CLOSE_SECONDS = 2.0


class Work(NamedTuple):
    """What every session of a server shares."""

    predictor: Predictor
    settings: QueueConsumer
    inference: Inference
    counts: Counts
    suspects: Suspects


class Session:
    """One pair of connections, and the messages in flight on it.

    Args:
        work: what is served.
        share: tells the server's share of the messages.

    Attributes:
        blocked: whether the broker takes no results for now.
        progressed: whether a message has passed.
        drained: set when `drain` has ended.
        changed: set when consuming may have to begin or to end.
    """

    def __init__(self, work: Work, share: Callable[[], Share]) -> None:
        self._work, self._share, self._turns = work, share, Turns()
        self._predictor, self._settings, self._counts = work.predictor, work.settings, work.counts
        self._connections: list[Connection] = []
        self._channels: list[AbstractChannel] = []
        self._consumer: Consumer | None = None
        self._results: Results | None = None
        self._answering: Answering | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: asyncio.Future[Trouble] = asyncio.get_running_loop().create_future()
        self._held = self._peak = 0
        self._most = HELD * work.predictor.max_body_bytes
        self._prefetch = Prefetch(self._most, work.predictor.max_body_bytes)
        self._full = self._draining = self.blocked = self.progressed = False
        self.changed, self.drained = asyncio.Event(), asyncio.Event()
        self._adjusting = asyncio.Lock()

    @property
    def in_flight(self) -> int:
        """The number of messages that are neither acknowledged nor given back."""
        return len(self._tasks)

    @property
    def held(self) -> int:
        """The bytes of those messages, and of their answers."""
        return self._held

    @property
    def refused(self) -> Refused | None:
        """Why the broker does not take a result; None: it takes all of them."""
        return self._results.refused if self._results is not None else None

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
        except (exceptions.AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise trouble_of(error, "channel") from error
        self._channels = [channel, out]
        channel.on_consumer_cancel_callbacks.add(self._cancelled)
        publisher = Publisher(publishing, out)
        self._results = Results(self._predictor, self._settings, publisher, self.changed.set)
        self._answering = Answering(self._work, self._results, self._hold)
        tag = f"{name}-{os.urandom(4).hex()}"
        self._consumer = Consumer(consuming, channel, self._settings.source, tag, self._take)

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
        prefetch = self._prefetch.number(self._settings.prefetch or automatic)
        filled, self._peak = self._peak >= prefetch, 0
        turn = self._turns.consumes(share, time.time(), self.in_flight, filled=filled)
        able = self._work.inference.ready and self.refused is None and not self._full
        async with self._adjusting:
            if turn and able and not self._draining:
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

    def _take(self, delivery: Delivery) -> None:
        size = len(delivery.body)
        if self._held and self._held + size > self._most:
            self._full = True
            self._prefetch.saw(size, time.monotonic())
            self.changed.set()
            self._give_back(delivery.tag)
            return
        if self._prefetch.took(redelivered=delivery.redelivered):
            self.changed.set()
        self._held += size
        asked = contract.received(delivery)
        task = asyncio.get_running_loop().create_task(self._handle(asked, delivery.tag))
        self._tasks.add(task)
        self._peak = max(self._peak, len(self._tasks))
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, asked: Input, tag: int) -> None:
        assert self._answering is not None  # noqa: S101 - opened
        assert self._consumer is not None  # noqa: S101 - opened
        try:
            if await self._answering.answer(asked):
                self._consumer.acknowledge(tag)
                self.progressed = True
            else:
                self._give_back(tag)
        except Trouble as trouble:
            self._end(trouble)
        except (exceptions.AMQPError, OSError, RuntimeError) as error:
            self._end(trouble_of(error, f"queue '{self._settings.source}'"))
        except Exception as error:  # noqa: BLE001 - a message must not stay in flight for ever
            self._end(broker.fault(error))
        finally:
            self._held -= len(asked.body)
            if asked.redelivered and self._prefetch.ended():
                self.changed.set()

    def _give_back(self, tag: int) -> None:
        assert self._consumer is not None  # noqa: S101 - opened
        self._counts.given_back()
        self._consumer.give_back(tag)

    def _hold(self, asked: Input, size: int) -> None:
        """Count the bytes of an answer until it is published."""
        self._held += size
        if size < 0:
            return
        self._full = self._full or self._held > self._most
        if self._prefetch.saw(len(asked.body) + size, time.monotonic()) or self._full:
            self.changed.set()
