"""Keep a session with the broker: connect again after each trouble, and tell what is wrong."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.queue.amqp import broker
from serving.queue.amqp.broker import Trouble
from serving.queue.counts import Counts
from serving.queue.session import Session, Work
from serving.queue.share import FollowedShare, Share, ShareFile
from serving.queue.suspects import Suspects
from serving.telemetry import log
from serving.telemetry.state import beside

if TYPE_CHECKING:
    from serving.backends.base import Reading
    from serving.inference import Inference
    from serving.predictor import Predictor, QueueConsumer
    from serving.telemetry.instruments import Instruments
    from serving.telemetry.state import StateFile

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
LOOK_SECONDS = 0.25
"""Between looks at a session, and at the file that the share is in."""
STEADY_SECONDS = 30.0
"""After a session of so many seconds, or one that passed a message, trouble counts anew."""
_JITTER = random.Random()  # noqa: S311 - no secret


class Door:
    """The way by which messages reach the model.

    Attributes:
        share: the server's share of the messages.
        trouble: why nothing is consumed; None while the queues are in use.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: QueueConsumer,
        inference: Inference,
        instruments: Instruments,
        state: StateFile,
    ) -> None:
        self._counts = Counts(instruments)
        suspects = Suspects(beside(predictor.state_file, "suspects"), settings.attempts)
        self._work = Work(predictor, settings, inference, self._counts, suspects)
        self._state = state
        self._share_file = ShareFile(beside(predictor.state_file, "share"), predictor.predictor)
        self.share = self._share_file.read() or Share(*settings.share)
        self._followed = FollowedShare(Path(settings.share_file)) if settings.share_file else None
        if self._followed is not None:
            self.share = self._followed.read() or Share(0.0, 0.0)
        self.trouble: Trouble | None = None
        self._since = time.time()
        self._session: Session | None = None
        self._stopping = asyncio.Event()
        self._show(Trouble(broker.UNREACHABLE, "the broker is being connected to"))
        for reading in self._readings():
            instruments.watch(*reading)

    @property
    def ready(self) -> bool:
        """Whether the queues were found, and the broker is connected to."""
        return self.trouble is None

    def set_share(self, share: Share) -> None:
        """Change the share of the messages, also for the server's next start.

        Raises:
            OSError: it cannot be kept, and is not changed.
        """
        self._share_file.write(share)
        self._take(share)

    def describe(self) -> dict[str, Any]:
        """Describe the door for the admin listener."""
        session, trouble = self._session, self.trouble
        return {
            "source": self._work.settings.source,
            "share": list(self.share),
            "consumes": session is not None and session.consumes,
            "in_flight": session.in_flight if session is not None else 0,
            "reason": trouble.reason if trouble is not None else "",
            "message": str(trouble) if trouble is not None else "",
            "since": self._since,
        }

    async def run(self) -> None:
        """Consume until `drain`; after each trouble again, later and later."""
        following = asyncio.ensure_future(self._follow())
        try:
            await self._consume()
        finally:
            following.cancel()

    def _take(self, share: Share) -> None:
        self.share = share
        if self._session is not None:
            self._session.changed.set()

    async def _follow(self) -> None:
        """Take up each share that is written to the file that is followed."""
        while self._followed is not None:
            share = self._followed.read()
            if share is not None and share != self.share:
                self._take(share)
            await asyncio.sleep(LOOK_SECONDS)

    async def _consume(self) -> None:
        troubles = 0
        while not self._stopping.is_set():
            session = Session(self._work, lambda: self.share)
            began = time.monotonic()
            try:
                await session.open()
                self._session = session
                self._show(None)
                await self._watched(session)
            except Exception as error:  # noqa: BLE001 - the server goes on, and says what is wrong
                trouble = error if isinstance(error, Trouble) else broker.fault(error)
                if session.progressed or time.monotonic() - began > STEADY_SECONDS:
                    troubles = 0
                self._counts.trouble(trouble.reason)
                self._show(trouble)
            finally:
                self._session = None
                await session.close()
            troubles += 1
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(troubles, 10))
            await self._stopped_within(_JITTER.uniform(longest / 2, longest))

    async def drain(self, seconds: float) -> None:
        """Finish what is in flight; to cancel `run` then gives back the rest."""
        self._stopping.set()
        if self._session is not None:
            await self._session.drain(seconds)

    async def _watched(self, session: Session) -> None:
        running = asyncio.ensure_future(session.run())
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=LOOK_SECONDS)
                if session.blocked:
                    said = "the broker takes no results: it is short of memory or disk"
                    self._show(Trouble(broker.BLOCKED, said))
                elif not running.done():
                    if session.refused is not None and self.trouble is None:
                        self._counts.trouble(session.refused.reason)
                    self._show(session.refused)
            await running
        finally:
            running.cancel()
        await session.drained.wait()

    def _show(self, trouble: Trouble | None) -> None:
        before, self.trouble = self.trouble, trouble
        if str(before) == str(trouble):
            return
        self._since = time.time()
        if trouble is None:
            log.say(f"the queue '{self._work.settings.source}' is in use")
            self._state.release()
            return
        log.say(f"{trouble.reason}: {trouble}", level=logging.WARNING)
        self._state.hold(trouble.reason, str(trouble))

    async def _stopped_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _readings(self) -> list[Reading]:
        def of_session(name: str) -> float:
            return float(getattr(self._session, name)) if self._session is not None else 0.0

        return [
            ("schnitzel_messages_ready", "1 if the queues are in use.", lambda: float(self.ready)),
            (
                "schnitzel_messages_share",
                "The server's share of the messages.",
                lambda: self.share.high - self.share.low,
            ),
            (
                "schnitzel_messages_in_flight",
                "Messages neither acknowledged nor given back.",
                lambda: of_session("in_flight"),
            ),
            (
                "schnitzel_messages_held_bytes",
                "Bytes of the messages in flight.",
                lambda: of_session("held"),
            ),
        ]
