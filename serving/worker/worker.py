"""Frames from the front go in; the model's answers go back as frames.

Runs as a file, in the model's own environment.

    python -I worker.py SOCKET_FD FRONT_PID ARTIFACT OPTIONS

OPTIONS is JSON: `batching` with `enabled` and `max_rows`. It needs the standard library, the
model's packages (mlflow among them) and the files beside it, which it loads under names of its own:
nothing of ours can be imported by the model, and nothing of ours can hide one of its modules. It
ends when the front does. Python 3.10 or later.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib.util
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from serving.worker import answers, batching, framing, loading, rows, scoring, tensors

PR_SET_PDEATHSIG = 1  # prctl(2)
BROKEN = 70
"""Exit status after an exception that nothing should outlive (EX_SOFTWARE of sysexits.h)."""
LINE_CHARACTERS = 4_000
TRACEBACK_CHARACTERS = 64_000


def _beside(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_schnitzel_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if not TYPE_CHECKING:
    answers, batching, framing, loading, rows, scoring, tensors = map(
        _beside, ("answers", "batching", "framing", "loading", "rows", "scoring", "tensors")
    )


def end_with(front: int) -> None:
    """Have the kernel kill this process when the front dies, however busy the model is."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front:  # it died before we asked
        os._exit(0)


class Link:
    """The worker's end of the socket: blocking, one thread."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._cutter = framing.Cutter()

    def read(self, *, wait: bool) -> list[framing.Frame]:
        """Return the frames that arrived; with `wait`, at least one read's worth.

        Ends the process if the front is gone.
        """
        frames: list[framing.Frame] = []
        flags = 0 if wait else socket.MSG_DONTWAIT
        while True:
            try:
                data = self._socket.recv(1 << 20, flags)
            except BlockingIOError:
                return frames
            except ConnectionError:
                data = b""
            if not data:
                os._exit(0)
            frames += self._cutter.feed(data)
            flags = socket.MSG_DONTWAIT

    def send(self, data: bytes) -> None:
        """Write whole frames. Ends the process if the front is gone."""
        try:
            self._socket.sendall(data)
        except OSError:
            os._exit(0)

    def send_json(self, request_id: int, kind: int, content: dict[str, Any]) -> None:
        """Write one frame with a JSON payload."""
        self.send(framing.pack(request_id, kind, json.dumps(content).encode()))


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception's last traceback line, and the whole of it.

    Each at a length that people read: an exception may repeat all that it was asked.
    """
    name = type(error).__name__
    text = " ".join(str(error)[:LINE_CHARACTERS].split())
    lines = [line[:LINE_CHARACTERS] for line in traceback.format_exception(error)]
    return {
        "message": f"{name}: {text}" if text else name,
        "traceback": "\n".join(map(str.rstrip, lines))[-TRACEBACK_CHARACTERS:],
        "out_of_memory": isinstance(error, MemoryError),
    }


def _counted(results: Iterable[Any]) -> bytes:
    """Return the frame that says what the model answered; empty if it cannot be said."""
    counts = answers.Counts()
    with contextlib.suppress(Exception):  # a model may return anything, and nobody waits for this
        for result in results:
            counts.add(result)
        if counts.values:
            return framing.pack(0, framing.ANSWERS, json.dumps(counts.shown()).encode())
    return b""


class Worker:
    """The loop: read what arrived, take what one call can answer, ask the model, answer."""

    def __init__(self, link: Link, model: Any, options: dict[str, Any]) -> None:
        self._link = link
        self._scorer = scoring.Scorer(model)
        self._rows = rows.Rows(model)
        self._batching = batching.Batching(
            enabled=options["batching"]["enabled"],
            max_rows=options["batching"]["max_rows"],
            data=self._rows,
        )
        self._waiting: list[batching.Waiting] = []
        self._took = 0.0

    def run(self) -> None:
        """Answer until the front is gone."""
        while True:
            for frame in self._link.read(wait=not self._waiting):
                self._take_in(frame)
            if self._waiting:
                self._answer(self._batching.take(self._waiting))
                self._examine()
            while self._batching.said:
                sys.stderr.write(self._batching.said.pop() + "\n")
                self._link.send_json(0, framing.BATCHING, self._trust())

    def _trust(self) -> dict[str, Any]:
        batching = self._batching
        state = "on" if batching.trusted else "trial" if batching.enabled else "off"
        return {"state": state, "rows_compared": batching.compared}

    def _take_in(self, frame: framing.Frame) -> None:
        if frame.kind == framing.CANCEL:
            left = [each for each in self._waiting if each.id != frame.id]
            if len(left) < len(self._waiting):
                self._waiting[:] = left
                self._link.send(framing.pack(frame.id, framing.LEFT_OUT))
            return
        try:
            self._waiting.append(self._understood(frame))
        except Exception as error:  # noqa: BLE001 - one bad request must not end the others' worker
            self._link.send(self._refusal(frame.id, frame.kind, error))

    def _understood(self, frame: framing.Frame) -> batching.Waiting:
        if frame.kind == framing.INVOKE:
            read = self._scorer.read_invoke(*framing.unpack_invoke(frame.payload))
        else:
            read = self._scorer.read_columns(*tensors.unpack(frame.payload))
        count, key = self._rows.count_and_key(read.data, read.params)

        def render(result: Any) -> bytes:
            if frame.kind == framing.INVOKE:
                text = self._scorer.answer_invoke(result, unwrapped=read.unwrapped)
                answer = framing.pack_answer(200, "application/json", text.encode())
                return framing.pack(frame.id, framing.ANSWER, answer)
            columns = tensors.pack(*self._scorer.answer_columns(result))
            return framing.pack(frame.id, framing.RESULT, columns)

        return batching.Waiting(frame.id, frame.kind, read.data, read.params, count, key, render)

    def _answer(self, group: list[batching.Waiting]) -> None:
        for answered in self._batching.answer(group, self._call):
            count = sum(request.rows for request, _, _ in answered)
            batch = framing.pack_batch(len(answered), count, self._took)
            parts = [framing.pack(0, framing.BATCH, batch)]
            parts += [self._rendered(*answer) for answer in answered]
            parts.append(_counted(result for _, result, error in answered if error is None))
            self._link.send(b"".join(parts))
            if self._scorer.broken:
                os._exit(BROKEN)

    def _call(self, asked: list[batching.Waiting], data: Any, params: Any) -> Any:
        """Ask the model, and let the front know for whom: it may never return."""
        ids = framing.pack_ids(request.id for request in asked)
        self._link.send(framing.pack(0, framing.CALLING, ids))
        begin = time.perf_counter()
        try:
            return self._scorer.predict(data, params)
        finally:
            self._took = time.perf_counter() - begin

    def _examine(self) -> None:
        if self._batching.is_doubtful:
            self._batching.examine(self._call)
            self._link.send(framing.pack(0, framing.CALLING, framing.pack_ids(None)))

    def _rendered(self, request: batching.Waiting, result: Any, error: Exception | None) -> bytes:
        if error is None:
            try:
                return request.render(result)
            except Exception as unreadable:  # noqa: BLE001 - a model may return what no protocol can say
                error = unreadable
        return self._refusal(request.id, request.kind, error)

    def _refusal(self, request_id: int, kind: int, error: Exception) -> bytes:
        if not isinstance(error, scoring.Refused):
            return framing.pack(request_id, framing.RAISED, json.dumps(describe(error)).encode())
        if kind == framing.INVOKE:
            answer = framing.pack_answer(error.status, error.content_type, error.body.encode())
            return framing.pack(request_id, framing.ANSWER, answer)
        message = json.dumps({"status": error.status, "message": error.message}).encode()
        return framing.pack(request_id, framing.REJECTED, message)


def main(descriptor: int, front: int, artifact: str, options: dict[str, Any]) -> None:
    """Load the model, say so, answer until the front is gone."""
    end_with(front)
    faulthandler.enable()  # a front that finds the model hanging asks for its stacks (SIGABRT)
    os.dup2(2, 1)  # what a model prints belongs into the log, at once
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    link = Link(descriptor)
    # What is loaded now stays: looking for garbage in it, now or later, costs time and finds next
    # to nothing (0.3-0.7 s of a start; 6 % of the objects).
    gc.disable()
    try:
        model, description = loading.load(artifact)
        worker = Worker(link, model, options)
    except BaseException as error:  # noqa: BLE001 - a model's code may even call sys.exit; the front says why it failed
        link.send_json(0, framing.FAILED, describe(error))
        return
    gc.freeze()
    gc.enable()
    link.send_json(0, framing.READY, description)
    try:
        worker.run()
    except BaseException:  # noqa: BLE001 - threads of the model may live on: this process must not
        traceback.print_exc()
    os._exit(BROKEN)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
