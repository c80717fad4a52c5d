"""Answer one message: ask the model, and publish what comes of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from serving.inference import failed, outcome
from serving.queue import disposition
from serving.queue.asker import Asker
from serving.queue.disposition import Disposition, Next

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.protocols.answer import Answer
    from serving.queue.contract import Input
    from serving.queue.results import Results
    from serving.queue.session import Work


class Answering:
    """Answers the messages of one session.

    A message that was delivered before is asked when no other one is, and the journal has it while
    it is asked: a server may have died of it.

    Args:
        work: what is served.
        results: publishes.
        hold: called with a message and the bytes of its answer, and with as many less once that is
            published.
    """

    def __init__(self, work: Work, results: Results, hold: Callable[[Input, int], None]) -> None:
        self._asker = Asker(work.predictor, work.settings.attempts, work.inference)
        self._counts, self._suspects = work.counts, work.suspects
        self._results, self._hold = results, hold
        self._alone = asyncio.Lock()
        self._others, self._quiet = 0, asyncio.Event()
        self._quiet.set()

    async def answer(self, asked: Input) -> bool:
        """Return whether the message is done with; else another server is to answer it.

        Raises:
            Trouble: the broker does not take what came of it.
        """
        begin = time.perf_counter()
        answer, what = await (self._ask_alone(asked) if asked.redelivered else self._ask(asked))
        if what.next is Next.LATER:
            return False
        self._counts.answered(answer.status, time.perf_counter() - begin, outcome(answer))
        size = len(answer.body)
        self._hold(asked, size)
        try:
            if what.next is Next.PUBLISH:
                await self._results.answer(answer, asked)
            else:
                await self._results.dead_letter(answer, asked, what.reason)
                self._counts.dead(what.reason)
        finally:
            self._hold(asked, -size)
        return True

    async def _ask(self, asked: Input) -> tuple[Answer, Disposition]:
        self._others += 1
        self._quiet.clear()
        try:
            return await self._asker.ask(asked)
        finally:
            self._others -= 1
            if not self._others:
                self._quiet.set()

    async def _ask_alone(self, asked: Input) -> tuple[Answer, Disposition]:
        if why := self._suspects.guilty(asked):
            answer = failed(asked.question.protocol, 500, why)
            return answer, Disposition(Next.DEAD, disposition.SERVER_KILLED)
        async with self._alone:
            await self._quiet.wait()
            answered = False
            self._suspects.begin(asked)
            try:
                answer, what = await self._asker.ask(asked)
                answered = what.next is not Next.LATER
            finally:  # also where the connection broke meanwhile: the server lives
                self._suspects.end(asked, answered=answered)
            return answer, what
