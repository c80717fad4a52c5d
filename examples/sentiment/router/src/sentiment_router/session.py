"""Consume, decide, publish, acknowledge: over one pair of connections, until something is wrong.

A message is acknowledged once the broker has confirmed what came of it. What a session leaves, by
an error or a kill, the broker delivers again, and it gets the same id again.

Two connections, since a broker that is short of memory or disk blocks those that publish.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from sentiment_router.broker import FIRST_HOP, LATER, TROUBLES, Publisher, connected, received, said
from sentiment_router.routing import (
    FAULT,
    Received,
    Routes,
    Sending,
    Unreadable,
    ask,
    dead_letter,
    route,
)
from sentiment_router.settings import Settings

log = logging.getLogger(__name__)
Decide = Callable[[Received, Routes], Sending]
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
DRAIN_SECONDS = 5.0


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Route until `stop`; connect again after every trouble."""
    pause = FIRST_PAUSE
    while not stop.is_set():
        session = Session(settings)
        # In a task of its own: the client library cancels what waits for a lost connection.
        running = asyncio.create_task(session.run(stop))
        await asyncio.wait((running,))
        error = cut() if running.cancelled() else running.exception()
        if error is None:
            continue
        if not isinstance(error, TROUBLES):
            raise error
        if session.counts:
            pause = FIRST_PAUSE
        log.warning("not routing, again in %g s: %s", pause, said(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def cut() -> ConnectionError:
    """Make the error of what the client library cancelled, or ended without one."""
    return ConnectionError("the connection to the broker broke")


class Session:
    """One pair of connections.

    Attributes:
        counts: how many messages went to each queue.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._routes = settings, settings.routes
        self.counts: Counter[str] = Counter()
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Route until `stop`, then finish what is in flight.

        Raises:
            TROUBLES: the broker is away, a queue is missing or full.
        """
        url, routes = self._settings.url(), self._routes
        async with (
            connected(url, "sentiment-router consume") as consuming,
            connected(url, "sentiment-router publish") as publishing,
        ):
            channel = await consuming.channel(publisher_confirms=False)
            await self._check(channel)
            publisher = await Publisher.on(publishing)
            await channel.set_qos(prefetch_count=self._settings.prefetch)
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(self._cancelled)
            consumers = []
            for name, decide in ((routes.texts, ask), (routes.detected, route)):
                queue = await channel.get_queue(name, ensure=False)
                take = self._taker(publisher, name, decide)
                consumers.append((queue, await queue.consume(take)))
            log.info("routing %s", routes.texts)
            await self._watch(stop, consuming.closed(), publishing.closed(), channel.closed())
            for queue, tag in consumers:
                await queue.cancel(tag)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
            if self._trouble.done():
                self._trouble.result()
            log.info("routed %s", dict(self.counts))

    async def _check(self, channel: AbstractChannel) -> None:
        """Declare every queue passively: they belong to people, and the router makes none."""
        routes = self._routes
        for name in (
            *(routes.texts, routes.language, routes.detected),
            *(*routes.models.values(), routes.other, routes.dead_letter),
        ):
            await channel.declare_queue(name, passive=True)

    async def _watch(self, stop: asyncio.Event, *closed: Any) -> None:
        """Return at `stop`; raise what ended a connection, a channel or the work on a message."""
        stopping = asyncio.ensure_future(stop.wait())
        ends = [asyncio.ensure_future(each) for each in closed]
        await asyncio.wait((stopping, self._trouble, *ends), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for end in ends:
            if not end.done():
                end.cancel()
            elif not stop.is_set():
                error = None if end.cancelled() else end.exception()
                self._end(error or cut())
        if self._trouble.done():
            self._trouble.result()

    def _cancelled(self, _frame: object) -> None:
        self._end(ConnectionError("a queue that is consumed was deleted"))

    def _end(self, error: BaseException) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(error)

    # -- one message

    def _taker(
        self, publisher: Publisher, source: str, decide: Decide
    ) -> Callable[[AbstractIncomingMessage], Coroutine[Any, Any, None]]:
        async def take(message: AbstractIncomingMessage) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                queue, sending = self._decided(publisher, received(message), source, decide)
                await publisher.publish(queue, sending)
                await message.ack()
                self.counts[queue] += 1
            except asyncio.CancelledError:
                self._end(cut())
                raise
            except Exception as error:  # noqa: BLE001 - a message must not stay in flight for ever
                self._end(error)
            finally:
                self._tasks.discard(task)

        return take

    def _decided(
        self, publisher: Publisher, message: Received, source: str, decide: Decide
    ) -> tuple[str, Any]:
        try:
            sending = decide(message, self._routes)
            return sending.queue, publisher.message(sending, FIRST_HOP if decide is ask else LATER)
        except Unreadable as found:
            error = found
        except Exception:  # a fault of ours, which would come again with the same message
            log.exception("the router failed to read a message")
            error = Unreadable(FAULT, "a fault of the router; its log has it")
        log.warning("a dead letter: %s (%s)", error.reason, error)
        try:
            dead = dead_letter(message, source, error, self._routes)
            return dead.queue, publisher.message(dead)
        except Unreadable:  # its own headers leave no room for the reason
            bare = dead_letter(message._replace(headers={}), source, error, self._routes)
            return bare.queue, publisher.message(bare)
