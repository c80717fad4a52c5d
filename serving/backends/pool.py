"""Start, watch and replace the worker of a predictor, and send it the questions.

The front outlives its worker, and once the model was ready the server never ends on its own. A
worker that dies is replaced, later after each death. Requests that it had not begun go to the next
worker; requests that it died of are asked again alone, once. A model that never loaded is not tried
again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

from serving.backends import process
from serving.backends.base import CANNOT_LOAD, Deadline, Loaded
from serving.backends.link import Link, WorkerGone
from serving.backends.queue import Queue, Ticket
from serving.backends.worker_exit import WorkerExit, WorkerLife, recent_deaths
from serving.telemetry import log
from serving.worker import framing
from serving.worker.oip.signature import signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.backends.base import NativeProtocol, Reading
    from serving.predictor import Predictor
    from serving.telemetry.instruments import Instruments
    from serving.telemetry.state import StateFile
    from serving.worker.framing import Frame, Payload

DEATHS = 5
WINDOW = 60.0
"""Seconds of serving: the time in which a model loads does not count."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
WATCH_EVERY = 0.25
HANG_GRACE = 10.0
"""Seconds that a call may take beyond `timeout_seconds`, when no client waits any longer."""
STACKS_SECONDS = 2.0
"""Seconds that a hung worker gets to write its stacks."""
DRAIN_SECONDS = 1.0
"""Seconds for reading the last frames from a dead worker's socket."""
HELD = 4
"""Number of largest bodies that may wait for the worker at the same time."""


class Pool:
    """The worker of a predictor (one, for now); `first` is a worker that was started already."""

    native: NativeProtocol | None = None

    def __init__(
        self,
        predictor: Predictor,
        state: StateFile,
        on_ready: Callable[[Loaded], None],
        instruments: Instruments,
        first: process.Process | None,
    ) -> None:
        self._predictor, self._state, self._first = predictor, state, first
        self._on_ready, self._instruments = on_ready, instruments
        self._queue = Queue(HELD * predictor.max_body_bytes, predictor.batching.max_rows)
        self._process: process.Process | None = None
        self._link: Link | None = None
        self._worker_life = WorkerLife()
        self._batching = self._initial_batching()
        self._stopping = asyncio.Event()
        self.ready = False
        self.was_ready = False
        self.restarts = self.hangs = 0

    # -- asking

    async def ask(
        self, kind: int, payload: Payload, seconds: float | None = None, *, alone: bool = False
    ) -> Frame:
        """Return the worker's answer.

        Raises:
            DeadlineExceeded: the answer did not come in time; the worker drops the request.
            Unavailable: there is no worker, or no room for another waiting request.
            PoisonRequest: the model's process dies of this request.
        """
        if not self.ready:
            raise WorkerGone("the model is not loaded")
        begin = time.perf_counter()
        ticket = Ticket(kind, payload, asyncio.get_running_loop().create_future(), alone=alone)
        self._queue.put(ticket)
        self._send()
        try:
            longest = self._predictor.timeout_seconds
            async with Deadline(min(seconds or longest, longest)) as ticket.deadline:
                frame = await ticket.answer
        finally:
            if ticket.answer.cancelled():  # the time was up, or the client left
                self._queue.forget(ticket)
                if self._link is not None:
                    self._link.forget(ticket)
        if ticket.predicted:
            encode = time.perf_counter() - ticket.called - ticket.predicted
            queue = ticket.called - begin
            self._instruments.record_stages(queue, ticket.predicted, encode)
        return frame

    def _send(self) -> None:
        """Send waiting requests, as far as the worker has room for them."""
        link = self._link
        while self.ready and link is not None and link.has_room and len(self._queue):
            if self._queue.suspects_next and not link.is_idle:
                return
            if group := self._queue.take():
                link.send(group)

    # -- watching

    def readings(self) -> list[Reading]:
        """Return the gauges of the worker's life and of the requests that wait."""
        return [
            ("schnitzel_worker_restarts_total", "Workers replaced.", lambda: self.restarts),
            ("schnitzel_worker_hangs_total", "Workers ended for a hung call.", lambda: self.hangs),
            (
                "schnitzel_worker_resident_memory_bytes",
                "Memory of the worker and of its children.",
                self._resident,
            ),
            ("schnitzel_queue_requests", "Requests that wait.", lambda: len(self._queue)),
            ("schnitzel_queue_bytes", "Bytes of those.", lambda: self._queue.bytes),
            (
                "schnitzel_batching_state",
                "1 for what is so: whether one call of the model answers requests that wait.",
                lambda: {each: self._batching["state"] == each for each in ("trial", "on", "off")},
            ),
            (
                "schnitzel_batching_rows_compared",
                "Rows that were answered alike, alone and in a batch.",
                lambda: self._batching["rows_compared"],
            ),
        ]

    def _initial_batching(self) -> dict[str, Any]:
        state = "trial" if self._predictor.batching.enabled else "off"
        return {"state": state, "rows_compared": 0}

    def _resident(self) -> int:
        return self._process.resident() if self._process is not None else 0

    # -- lives

    async def run(self) -> int:
        """Keep a worker running until the server has to end; return the exit code."""
        try:
            return await self._keep()
        finally:
            self._queue.fail(WorkerGone("the server ends"))

    async def _keep(self) -> int:
        lives: deque[float] = deque(maxlen=DEATHS)
        while True:
            death = await self._live(self._first)
            self._first = None
            if self._stopping.is_set():
                return 0
            log.say(f"{death.reason}: {death.message}", level=logging.ERROR)
            if not self.was_ready:
                self._say(death, phase="failed")
                return CANNOT_LOAD
            lives.append(self._worker_life.seconds())
            recent = recent_deaths(lives, WINDOW)
            if recent == DEATHS:
                often = f"the model's process died {DEATHS} times within {WINDOW:.0f} s of serving"
                said = WorkerExit("CrashLoop", f"{often}; the last time: {death.message}")
                self._say(said._replace(traceback_id=death.traceback_id), phase="failed")
            else:
                self._say(death, phase="unready")
            pause = min(FIRST_PAUSE * 4 ** (recent - 1), LONGEST_PAUSE)
            if await self._stopped_within(pause):
                return 0
            self.restarts += 1

    def stop(self) -> None:
        """End the worker for good."""
        self._stopping.set()
        self.ready = False
        if self._process is not None:
            self._process.kill()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _say(self, death: WorkerExit, phase: str) -> None:
        self._state.change(
            phase=phase,
            reason=death.reason,
            message=death.message,
            traceback_id=death.traceback_id,
            worker_pid=None,
        )

    async def _live(self, started: process.Process | None) -> WorkerExit:
        try:
            worker = started or process.start(self._predictor, first=False)
        except OSError as error:
            return WorkerExit("LoadError", f"the model's Python cannot be run: {error}")
        self._process, self._worker_life, self._batching = (
            worker,
            WorkerLife(),
            self._initial_batching(),
        )
        self._state.change(worker_pid=worker.pid, restarts=self.restarts)
        loop = asyncio.get_running_loop()
        link = Link(self._news, self._send)
        await loop.create_unix_connection(lambda: link, sock=worker.socket)
        self._link = link
        watch = loop.create_task(self._watch(worker, link))
        try:
            status = await asyncio.to_thread(worker.wait)
        finally:
            watch.cancel()
            self.ready = False
            worker.kill()  # processes that the worker started and left behind
        drained = asyncio.wait_for(link.lost.wait(), DRAIN_SECONDS)
        await asyncio.gather(drained, return_exceptions=True)
        link.close()
        self._worker_life.ended = time.monotonic()
        self._process = self._link = None
        self._queue.put_back(*link.unanswered())
        return self._worker_life.explain_exit(status, self._predictor)

    def _news(self, frame: Frame) -> None:
        if frame.kind == framing.BATCH:
            self._instruments.record_batch(*framing.unpack_batch(frame.payload))
        elif frame.kind == framing.ANSWERS:
            self._instruments.record_summary(frame.payload)
        elif frame.kind == framing.BATCHING:
            self._batching = json.loads(frame.payload)
            self._state.change(batching=self._batching["state"])
        elif frame.kind == framing.FAILED:
            self._worker_life.failure = json.loads(frame.payload)
        elif frame.kind == framing.READY and not self._stopping.is_set():
            try:
                description = json.loads(frame.payload)
                known = signature(description["signature"])
            except Exception as error:  # noqa: BLE001 - an exception in data_received would end the worker
                self._reject_signature(error)
                return
            self._on_ready(Loaded(known, "mlflow_pyfunc", str(description["mlflow"])))
            self.ready = self.was_ready = True
            self._worker_life.began = time.monotonic()
            took = description["seconds"]
            log.say(f"model loaded: import {took['import']:.2f} s, load {took['load']:.2f} s")
            self._state.change(
                phase="ready",
                reason="",
                message="",
                traceback_id=None,
                python=description["python"],
                batching=self._batching["state"],
            )
            self._send()

    def _reject_signature(self, error: Exception) -> None:
        """End a worker whose model has an unreadable signature, and record the reason."""
        self._worker_life.failure = {
            "message": f"the model's signature cannot be read: {type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
            "out_of_memory": False,
        }
        if self._process is not None:
            self._process.kill()

    async def _watch(self, worker: process.Process, link: Link) -> None:
        """End a worker that exceeds its memory limit, or hangs."""
        limit, longest = self._predictor.memory_bytes, self._predictor.timeout_seconds + HANG_GRACE
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if limit is not None and (taken := worker.exceeds(limit)):
                self._worker_life.over = taken
                worker.kill()
                return
            if (silent := link.silent_for()) > longest:
                self._worker_life.hung, self._worker_life.reading = silent, link.call is None
                self.ready = False
                self.hangs += 1
                self._instruments.windows.record_hang()
                worker.dump_stacks()
                await asyncio.sleep(STACKS_SECONDS)
                worker.kill()
                return
