"""Publish what comes of a message: its results, its dead letter, its reply."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from serving.queue import contract
from serving.queue.broker import RESULT_REFUSED, Trouble
from serving.queue.publisher import Unroutable

if TYPE_CHECKING:
    from serving.predictor import Destination, Predictor, QueueConsumer
    from serving.protocols.answer import Answer
    from serving.queue.contract import Input
    from serving.queue.publisher import Publisher


class Results:
    """The destinations of one server, over one publisher.

    Every method returns once the broker has confirmed what it published, and raises Trouble where
    the broker does not take it.
    """

    def __init__(self, predictor: Predictor, settings: QueueConsumer, publisher: Publisher) -> None:
        self._settings, self._publisher = settings, publisher
        self._writer = contract.Writer(predictor, settings.source)

    async def answer(self, answer: Answer, asked: Input) -> None:
        """Publish an answer to every destination, and to the client that awaits it."""
        prediction = uuid.uuid4().hex
        works = [
            self._result(index, to, answer, asked, prediction)
            for index, to in enumerate(self._settings.results)
        ]
        done = await asyncio.gather(*works, return_exceptions=True)  # none is cancelled on its way
        for error in done:
            if isinstance(error, BaseException):
                raise error
        await self._reply(answer, asked, prediction)

    async def dead_letter(self, answer: Answer, asked: Input, reason: str) -> None:
        """Publish a message as a dead letter, and its error to the client that awaits it."""
        queue = self._settings.dead_letter
        await self._publisher.publish(self._writer.dead_letter(queue, asked, reason, answer))
        await self._reply(answer, asked, uuid.uuid4().hex)

    async def _result(
        self, index: int, to: Destination, answer: Answer, asked: Input, prediction: str
    ) -> None:
        message = self._writer.result(to, index, answer, asked, prediction)
        if not message.routing_key:
            said = f"a prediction fits into no routing key '{to.routing_key}': set 'other'"
            raise Trouble(RESULT_REFUSED, said)
        try:
            await self._publisher.publish(message)
        except Unroutable:
            if not to.other or message.routing_key == to.other:
                raise
            await self._publisher.publish(message._replace(routing_key=to.other))

    async def _reply(self, answer: Answer, asked: Input, prediction: str) -> None:
        if queue := contract.reply_queue(asked):
            with suppress(Unroutable):  # its client has gone
                await self._publisher.publish(self._writer.reply(queue, answer, asked, prediction))
