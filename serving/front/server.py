"""Run the server of a predictor on listening sockets, with its worker, until it is stopped.

On SIGTERM readiness goes off at once, so that gateways turn away; the server answers requests that
still come, until none is in flight and none has come for QUIET seconds, or `drain_seconds` are
over. Where routes are removed only after the signal (`drain_whole`), quiet proves nothing: the
server answers for all of `drain_seconds`, stops listening, and ends with the last answer.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import time
from typing import TYPE_CHECKING

import uvloop

from serving.backends.pool import Pool
from serving.front import admin
from serving.front.app import App
from serving.front.http import Connection
from serving.front.listener import Limits, Listener
from serving.front.seldon import OperatorPaths
from serving.inference import Inference
from serving.telemetry import log
from serving.telemetry.instruments import Instruments
from serving.telemetry.state import StateFile

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from serving.backends.base import Backend, Loaded, Reading
    from serving.backends.process import Process
    from serving.predictor import Predictor
    from serving.queue.door import Door

QUIET = 0.25
HELD = 8
"""Number of largest bodies that may wait for their answers at the same time."""


def run(
    predictor: Predictor,
    listening: list[socket.socket],
    admin_listening: list[socket.socket],
    first: Process | None,
) -> int:
    """Serve until stopped; return the exit code: 0, or CANNOT_LOAD of backends.base."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(predictor, listening, admin_listening, first))


async def _serve(
    predictor: Predictor,
    listening: list[socket.socket],
    admin_listening: list[socket.socket],
    first: Process | None,
) -> int:
    state = StateFile(predictor.state_file, predictor.termination_file)
    instruments, inference = Instruments(predictor), Inference(predictor)
    app = App(predictor, inference, instruments, state, OperatorPaths(predictor.model, os.environ))

    def loaded(model: Loaded) -> None:
        inference.model = model
        app.start.end()

    backend = _backend(predictor, state, loaded, instruments, first)
    inference.backend = backend
    listener = Listener(
        app, Limits(predictor.max_body_bytes, HELD * predictor.max_body_bytes), Connection
    )
    _watch(instruments, app, listener, backend)
    app.door = door = _door(predictor, inference, instruments, state)
    admin_listener = Listener(admin.Admin(app, instruments, predictor), admin.LIMITS, Connection)
    await admin_listener.open(admin_listening)
    await listener.open(listening)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = loop.create_task(backend.run())
    consuming = loop.create_task(door.run()) if door is not None else None
    stopping = loop.create_task(stop.wait())
    patience = 0
    log.say(f"listening on {predictor.host}:{predictor.port}")
    gc.collect()
    gc.freeze()
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    app.start.end()
    if stop.is_set():
        state.change(phase="unready", reason="Stopping", message="the server was asked to stop")
        app.draining = listener.draining = True
        draining = loop.create_task(door.drain(predictor.drain_seconds)) if door else None
        if predictor.drain_whole and backend.was_ready:
            await asyncio.wait({working}, timeout=predictor.drain_seconds)
            patience = math.ceil(predictor.timeout_seconds)
        else:
            await _quiet(app, predictor.drain_seconds)
        if draining is not None:
            await draining
    if consuming is not None:
        consuming.cancel()  # what is in flight is given back
        await asyncio.wait((consuming,))
    await listener.close(patience if app.in_flight else 1)
    backend.stop()
    stopping.cancel()
    code = await working
    await admin_listener.close(0)
    return code


def _watch(instruments: Instruments, app: App, listener: Listener, backend: Backend) -> None:
    """Register the gauges, which are read at each scrape."""
    watched: list[Reading] = [
        ("schnitzel_ready", "1 if the model is loaded.", lambda: float(app.ready)),
        ("schnitzel_requests_in_flight", "Requests being answered.", lambda: app.in_flight),
        ("schnitzel_connections", "Connections of clients.", lambda: len(listener.connections)),
        ("schnitzel_held_bytes", "Bodies that wait for their answers.", lambda: listener.held),
        ("schnitzel_log_lines_dropped_total", "Lines that nobody read fast enough.", log.dropped),
    ]
    for reading in (*watched, *backend.readings()):
        instruments.watch(*reading)


def _backend(
    predictor: Predictor,
    state: StateFile,
    loaded: Callable[[Loaded], None],
    instruments: Instruments,
    first: Process | None,
) -> Backend:
    """Return the predictor's backend: the server in the same pod if there is one, else a worker."""
    if predictor.backend is None:
        return Pool(predictor, state, loaded, instruments, first)
    from serving.backends.tfserving import TensorFlowServing  # noqa: PLC0415 - most fronts do not need it

    return TensorFlowServing(predictor, predictor.backend, state, loaded, instruments.record_call)


def _door(
    predictor: Predictor, inference: Inference, instruments: Instruments, state: StateFile
) -> Door | None:
    """Return the way by which messages of a queue reach the model, if it has one."""
    if predictor.queue is None:
        return None
    from serving.queue.door import Door  # noqa: PLC0415 - most servers have no queue

    return Door(predictor, predictor.queue, inference, instruments, state)


async def _quiet(app: App, seconds: float) -> None:
    """Return when no request is in flight and none has come for QUIET, after `seconds` at most."""
    asked = time.monotonic()
    while (now := time.monotonic()) < asked + seconds:
        if not app.in_flight and now - max(app.last_question, asked) >= QUIET:
            return
        await asyncio.sleep(0.02)
