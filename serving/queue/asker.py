"""Ask the model about a message, as often as the message has tries."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from serving.inference import failed, server_fault
from serving.queue import disposition
from serving.queue.disposition import Disposition, Next

if TYPE_CHECKING:
    from serving.inference import Inference
    from serving.predictor import Predictor
    from serving.protocols.answer import Answer
    from serving.queue.contract import Input

PAUSE = 0.1
PATIENCE = 5.0
"""Seconds that a message waits for a model that is not there, before it is given back."""


class Asker:
    """Asks one model, and tells what is to be done with the message."""

    def __init__(self, predictor: Predictor, attempts: int, inference: Inference) -> None:
        self._most_bytes, self._attempts = predictor.max_body_bytes, attempts
        self._inference = inference

    async def ask(self, asked: Input) -> tuple[Answer, Disposition]:
        """Return the last answer, and what is to be done; LATER after PATIENCE seconds of it."""
        question, tries = asked.question, 1
        if asked.unreadable:
            answer = failed(question.protocol, 400, asked.unreadable)
            return answer, disposition.of(answer, 1, 1)
        if len(asked.body) > self._most_bytes:
            said = f"the body is larger than {self._most_bytes} bytes, the most that is taken"
            answer = failed(question.protocol, 413, said)
            return answer, disposition.of(answer, 1, 1)
        patience = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self._inference.answer(question)
            except Exception as error:  # noqa: BLE001 - the message gets its dead letter, with an id
                answer = server_fault(question.protocol, error)
            what = disposition.of(answer, tries, self._attempts)
            if what.next is Next.AGAIN:
                tries += 1
            elif what.next is Next.LATER and time.monotonic() < patience:
                await asyncio.sleep(PAUSE)
            else:
                return answer, what
