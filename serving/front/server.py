"""A predictor, listening sockets and a worker go in; at the end, an exit code comes out.

On SIGTERM readiness goes off at once, so that gateways turn away; requests that still come are
answered, until none is in flight and none has come for QUIET seconds, or `drain_seconds` are over.
Where routes are taken away only after the signal (`drain_whole`), quiet proves nothing: it answers
for all of `drain_seconds`, closes its door, and ends with the last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import signal
import time
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from serving.backends.pool import Pool
from serving.front.app import App
from serving.front.seldon import Renamed
from serving.telemetry import log
from serving.telemetry.instruments import Instruments
from serving.telemetry.state import StateFile

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from serving.backends.base import Backend
    from serving.backends.process import Process
    from serving.predictor import Predictor

QUIET = 0.25
# Seconds. Longer than gateways keep idle connections (Traefik: 90 s): else one may send its request
# into a connection that was just closed.
KEEP_ALIVE = 150


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would close the door on what is in flight."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(predictor: Predictor, listening: list[socket.socket], first: Process | None) -> int:
    """Serve until stopped; return the exit code: 0, backend.CANNOT_LOAD or pool.CRASH_LOOP."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(predictor, listening, first))


async def _serve(
    predictor: Predictor, listening: list[socket.socket], first: Process | None
) -> int:
    state = StateFile(predictor.state_file, predictor.termination_file)
    instruments = Instruments(predictor)
    app = App(predictor, instruments, state)
    backend = _backend(predictor, state, app, instruments, first)
    app.attach(backend)
    instruments.watch("schnitzel_ready", "1 if the model is loaded.", lambda: float(app.ready))
    instruments.watch(
        "schnitzel_requests_in_flight", "Requests being answered.", lambda: app.in_flight
    )
    instruments.watch(
        "schnitzel_log_lines_dropped_total", "Lines that nobody read fast enough.", log.dropped
    )
    for reading in backend.readings():
        instruments.watch(*reading)
    server = _Server(
        uvicorn.Config(
            Renamed(app, predictor.model, os.environ), loop="none", http="httptools", ws="none",
            lifespan="off", log_config=None, access_log=False, server_header=False,
            date_header=False, timeout_keep_alive=KEEP_ALIVE,
        )
    )  # fmt: skip
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    answering = loop.create_task(server.serve(sockets=listening))
    working = loop.create_task(backend.run())
    stopping = loop.create_task(stop.wait())
    patience = 0
    log.say(f"listening on {predictor.host}:{predictor.port}")
    gc.collect()
    gc.freeze()
    await asyncio.wait({answering, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        state.change(phase="unready", reason="Stopping", message="the server was asked to stop")
        app.draining = True
        if predictor.drain_whole and backend.was_ready:
            await asyncio.wait({working}, timeout=predictor.drain_seconds)
            patience = math.ceil(predictor.timeout_seconds)
        else:
            await _quiet(app, predictor.drain_seconds)
    server.config.timeout_graceful_shutdown = patience if app.in_flight else 1
    server.should_exit = True
    await answering
    backend.stop()
    stopping.cancel()
    return await working


def _backend(
    predictor: Predictor,
    state: StateFile,
    app: App,
    instruments: Instruments,
    first: Process | None,
) -> Backend:
    """Return what has the model: a server beside this one if there is one, else a worker."""
    if predictor.backend is None:
        return Pool(predictor, state, app.loaded, instruments.batch, first)
    from serving.backends.tfserving import TensorFlowServing  # noqa: PLC0415 - most fronts do not need it

    return TensorFlowServing(predictor, predictor.backend, state, app.loaded, instruments.called)


async def _quiet(app: App, seconds: float) -> None:
    """Return when nothing is in flight and it is quiet, after `seconds` at the latest."""
    asked = time.monotonic()
    while (now := time.monotonic()) < asked + seconds:
        if not app.in_flight and now - max(app.last_question, asked) >= QUIET:
            return
        await asyncio.sleep(0.02)
