"""A predictor goes in; its model is asked, in a worker that is started and replaced here.

The front outlives its worker: one that dies after it was ready is replaced, later after each death;
after DEATHS deaths within WINDOW seconds it is a crash loop, and the server ends. A model that
never loaded is not tried again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.backends import process
from serving.backends.base import CANNOT_LOAD, Loaded
from serving.backends.link import Link, WorkerGone
from serving.protocols.signature import signature
from serving.telemetry import log
from serving.worker import framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.backends.base import Own, Reading
    from serving.predictor import Predictor
    from serving.telemetry.state import StateFile
    from serving.worker.framing import Frame

CRASH_LOOP = 65
DEATHS = 5
WINDOW = 60.0
FIRST_PAUSE = 0.25
WATCH_EVERY = 0.25
LAST_WORDS = 1.0
"""Seconds that a dead worker's socket is given to hand over what it had said."""


class Death(NamedTuple):
    """Why a worker ended, in words for state.json."""

    reason: str
    message: str
    traceback_id: str | None = None


class Pool:
    """The worker of one predictor (one, for now). `first` is a worker that was started already."""

    own: Own | None = None

    def __init__(
        self,
        predictor: Predictor,
        state: StateFile,
        on_ready: Callable[[Loaded], None],
        on_batch: Callable[[int, int, float], None],
        first: process.Process | None,
    ) -> None:
        self._predictor, self._state, self._first = predictor, state, first
        self._on_ready, self._on_batch = on_ready, on_batch
        self._process: process.Process | None = None
        self._link: Link | None = None
        self._failure: dict[str, Any] | None = None
        self._over = 0
        self._loaded = False
        self._batching = self._untried()
        self._stopping = asyncio.Event()
        self.ready = False
        self.was_ready = False
        self.restarts = 0

    async def ask(self, kind: int, payload: bytes) -> Frame:
        """Return the worker's answer. Raises TimeoutError or WorkerGone."""
        if not self.ready or self._link is None:
            raise WorkerGone("the model is not loaded")
        return await self._link.ask(kind, payload, self._predictor.timeout_seconds)

    def readings(self) -> list[Reading]:
        """Return how often it was replaced, and its memory."""
        return [
            ("schnitzel_worker_restarts_total", "Workers replaced.", lambda: self.restarts),
            ("schnitzel_worker_resident_bytes", "Memory of the worker.", self._resident),
            (
                "schnitzel_batching_trusted",
                "1 if the model answers requests that wait in one call.",
                lambda: self._batching["state"] == "on",
            ),
            (
                "schnitzel_batching_rows_compared",
                "Rows that were answered alike, alone and in a batch.",
                lambda: self._batching["rows_compared"],
            ),
        ]

    def _untried(self) -> dict[str, Any]:
        state = "trial" if self._predictor.batching.enabled else "off"
        return {"state": state, "rows_compared": 0}

    def _resident(self) -> int:
        return self._process.resident() if self._process is not None else 0

    async def run(self) -> int:
        """Keep a worker running until the server has to end; return the exit code."""
        deaths: deque[float] = deque(maxlen=DEATHS)
        while True:
            death = await self._life(self._first)
            self._first = None
            if self._stopping.is_set():
                return 0
            log.say(f"{death.reason}: {death.message}", level=logging.ERROR)
            if not self.was_ready:
                self._fail(death.reason, death)
                return CANNOT_LOAD
            deaths.append(time.monotonic())
            if len(deaths) == DEATHS and deaths[-1] - deaths[0] < WINDOW:
                often = f"the model's process died {DEATHS} times within {WINDOW:.0f} s"
                text = f"{often}; the last time: {death.message}"
                self._fail("CrashLoop", death._replace(message=text))
                return CRASH_LOOP
            self._state.change(
                phase="unready",
                reason=death.reason,
                message=death.message,
                traceback_id=death.traceback_id,
                worker_pid=None,
            )
            recent = sum(1 for each in deaths if deaths[-1] - each < WINDOW)
            if await self._stopped_within(FIRST_PAUSE * 2 ** (recent - 1)):
                return 0
            self.restarts += 1

    def stop(self) -> None:
        """End the worker, for good."""
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

    def _fail(self, reason: str, death: Death) -> None:
        self._state.change(
            phase="failed",
            reason=reason,
            message=death.message,
            traceback_id=death.traceback_id,
            worker_pid=None,
        )

    async def _life(self, started: process.Process | None) -> Death:
        try:
            worker = started or process.start(self._predictor)
        except OSError as error:
            return Death("LoadError", f"the model's Python cannot be run: {error}")
        self._process, self._failure, self._over, self._loaded = worker, None, 0, False
        self._batching = self._untried()
        self._state.change(worker_pid=worker.pid, restarts=self.restarts)
        loop = asyncio.get_running_loop()
        link = Link(self._news)
        await loop.create_unix_connection(lambda: link, sock=worker.socket)
        self._link = link
        watch = loop.create_task(self._watch(worker))
        try:
            status = await asyncio.to_thread(worker.wait)
        finally:
            watch.cancel()
            self.ready = False
            worker.kill()  # what the worker started and left behind
        with_words = asyncio.wait_for(link.lost.wait(), LAST_WORDS)
        await asyncio.gather(with_words, return_exceptions=True)
        link.close()
        self._process = self._link = None
        return self._why(status)

    def _news(self, frame: Frame) -> None:
        if frame.kind == framing.BATCH:
            self._on_batch(*framing.unpack_batch(frame.payload))
        elif frame.kind == framing.BATCHING:
            self._batching = json.loads(frame.payload)
            self._state.change(batching=self._batching["state"])
        elif frame.kind == framing.FAILED:
            self._failure = json.loads(frame.payload)
        elif frame.kind == framing.READY and not self._stopping.is_set():
            try:
                description = json.loads(frame.payload)
                known = signature(description["signature"])
            except Exception as error:  # noqa: BLE001 - on the socket's way no exception may pass
                self._unreadable(error)
                return
            self._on_ready(Loaded(known, "mlflow_pyfunc", str(description["mlflow"])))
            self.ready = self.was_ready = self._loaded = True
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

    def _unreadable(self, error: Exception) -> None:
        """End a worker whose model has a signature that cannot be read, and say so."""
        self._failure = {
            "message": f"the model's signature cannot be read: {type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
            "out_of_memory": False,
        }
        if self._process is not None:
            self._process.kill()

    async def _watch(self, worker: process.Process) -> None:
        limit = self._predictor.memory_bytes
        while limit is not None:
            resident = worker.resident()
            if resident > limit:
                self._over = resident
                worker.kill()
                return
            await asyncio.sleep(WATCH_EVERY)

    def _why(self, status: int) -> Death:
        when = "while it served" if self._loaded else "while it loaded"
        if self._failure is not None:
            message = str(self._failure["message"])
            found = log.keep_traceback(message, self._failure["traceback"])
            return Death(
                "OutOfMemory" if self._failure["out_of_memory"] else "LoadError", message, found
            )
        if self._over:
            limit = self._predictor.memory_bytes or 0
            used = f"{self._over / 2**20:.0f} MiB, more than its limit of {limit / 2**20:.0f} MiB"
            return Death("OutOfMemory", f"the model's process used {used}, {when}")
        if status == -signal.SIGKILL:
            text = (
                "it was killed from outside (SIGKILL), most often by the system for lack of memory"
            )
            return Death("OutOfMemory", f"{text}, {when}")
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        reason = "WorkerDied" if self._loaded else "LoadError"
        return Death(reason, f"the model's process ended with {how} {when}")
