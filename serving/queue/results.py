"""Publish what comes of a message: its results, its dead letter, its reply."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from serving.queue import contract
from serving.queue.amqp.publisher import Refused, Unroutable

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.predictor import Destination, Predictor, QueueConsumer
    from serving.protocols.answer import Answer
    from serving.queue.amqp.publisher import Publisher
    from serving.queue.amqp.wire import Message
    from serving.queue.contract import Input

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a refused result is published again."""
_JITTER = random.Random()  # noqa: S311 - no secret


class Results:
    """The destinations of one server, over one publisher.

    Every method returns once the broker has confirmed what it published. What the broker refuses is
    published again and again: the message stays in flight, and is not asked anew.

    Args:
        predictor: what is served.
        settings: its destinations.
        publisher: publishes.
        changed: called when `refused` changes.

    Attributes:
        refused: why the broker does not take a result; None: it takes all of them.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: QueueConsumer,
        publisher: Publisher,
        changed: Callable[[], None],
    ) -> None:
        self._settings, self._publisher, self._changed = settings, publisher, changed
        self._writer = contract.Writer(predictor, settings.source)
        self._waiting = 0
        self.refused: Refused | None = None

    async def answer(self, answer: Answer, asked: Input) -> None:
        """Publish an answer to every destination, and to the client that awaits it.

        Raises:
            Trouble: the connection broke, or an exchange is missing.
        """
        prediction = contract.new_id()
        if len(self._settings.results) == 1:
            await self._result(0, self._settings.results[0], answer, asked, prediction)
        else:
            works = [
                self._result(index, to, answer, asked, prediction)
                for index, to in enumerate(self._settings.results)
            ]
            done = await asyncio.gather(*works, return_exceptions=True)  # none is cancelled
            for error in done:
                if isinstance(error, BaseException):
                    raise error
        await self._reply(answer, asked, prediction)

    async def dead_letter(self, answer: Answer, asked: Input, reason: str) -> None:
        """Publish a message as a dead letter, and its error to the client that awaits it.

        Raises:
            Trouble: the connection broke.
        """
        queue = self._settings.dead_letter
        await self._until_taken(self._writer.dead_letter(queue, asked, reason, answer))
        await self._reply(answer, asked, contract.new_id())

    async def _result(
        self, index: int, to: Destination, answer: Answer, asked: Input, prediction: str
    ) -> None:
        message = self._writer.result(to, index, answer, asked, prediction)
        if not message.routing_key:
            said = f"a prediction fits into no routing key '{to.routing_key}': set 'other'"
            await self._until_taken(message, Refused(said))
        await self._until_taken(message, other=to.other)

    async def _until_taken(
        self, message: Message, never: Refused | None = None, *, other: str = ""
    ) -> None:
        pause, waits = FIRST_PAUSE, False
        try:
            while True:
                try:
                    if never is not None:
                        raise never
                    return await self._once(message, other)
                except Refused as refused:
                    if not waits:
                        waits, self._waiting = True, self._waiting + 1
                    if self.refused is None:
                        self.refused = refused
                        self._changed()
                await asyncio.sleep(_JITTER.uniform(pause / 2, pause))
                pause = min(LONGEST_PAUSE, 2 * pause)
        finally:
            if waits:
                self._waiting -= 1
                if not self._waiting:
                    self.refused = None
                    self._changed()

    async def _once(self, message: Message, other: str) -> None:
        try:
            await self._publisher.publish(message)
        except Unroutable:
            if not other or message.routing_key == other:
                raise
            await self._publisher.publish(message._replace(routing_key=other))

    async def _reply(self, answer: Answer, asked: Input, prediction: str) -> None:
        if queue := contract.reply_queue(asked):
            with suppress(Refused):  # its client has gone
                await self._publisher.publish(self._writer.reply(queue, answer, asked, prediction))
