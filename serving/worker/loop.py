"""Answer the front's frames, one call of the model after another.

Runs in the worker.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import time
import traceback
from typing import Any

from . import answers, framing, loading, scoring
from .batching import batching, logged, rows
from .link import Link, die_with_parent
from .oip import infer, signature, tensors
from .oip.arrange import BadInput
from .reading import typed
from .reading.values import InvalidValue

BROKEN = 70
"""Exit status after an exception that no process should outlive (EX_SOFTWARE of sysexits.h)."""
LINE_CHARACTERS = 4_000
TRACEBACK_CHARACTERS = 64_000


def describe(error: BaseException) -> dict[str, Any]:
    """Return the last line of an exception's traceback, and the whole traceback.

    Both are cut to a readable length: an exception may repeat the whole request.
    """
    name = type(error).__name__
    text = " ".join(str(error)[:LINE_CHARACTERS].split())
    lines = [line[:LINE_CHARACTERS] for line in traceback.format_exception(error)]
    return {
        "message": f"{name}: {text}" if text else name,
        "traceback": "\n".join(map(str.rstrip, lines))[-TRACEBACK_CHARACTERS:],
        "out_of_memory": isinstance(error, MemoryError),
    }


class Worker:
    """The loop: read frames, take the requests that one call can answer, call the model, answer."""

    def __init__(
        self,
        to_front: Link,
        model: Any,
        artifact: str,
        options: dict[str, Any],
        parts: dict[str, Any],
    ) -> None:
        self._link, self._served = to_front, (options["model"], options["version"])
        self._signature = signature.signature(parts)
        self._typed = typed.Typed(model.metadata)
        self._scorer = scoring.Scorer(
            model, strict_input=options.get("input", "strict") != "mlflow"
        )
        self._rows = rows.Rows(model)
        self._batching = batching.Batching(
            enabled=options["batching"]["enabled"],
            max_rows=options["batching"]["max_rows"],
            data=self._rows,
        )
        self._waiting: list[batching.Waiting] = []
        self._took = 0.0
        if options["batching"]["enabled"] and options["first"]:
            self._batching.logged = logged.questions(model, artifact, self._rows)

    def run(self) -> None:
        """Answer until the front is gone; ask the logged rows while no request waits."""
        while True:
            idle = not self._waiting and not self._batching.logged
            for frame in self._link.read(wait=idle):
                self._accept(frame)
            if self._waiting:
                self._answer(self._batching.take(self._waiting))
                self._examine()
            elif self._batching.logged:
                self._rehearse()
            while self._batching.log_lines:
                sys.stderr.write(self._batching.log_lines.pop() + "\n")
                self._link.send_json(0, framing.BATCHING, self._batching_state())

    def _batching_state(self) -> dict[str, Any]:
        batching = self._batching
        state = "on" if batching.trusted else "trial" if batching.enabled else "off"
        return {"state": state, "rows_compared": batching.compared}

    def _accept(self, frame: framing.Frame) -> None:
        if frame.kind == framing.CANCEL:
            left = [each for each in self._waiting if each.id != frame.id]
            if len(left) < len(self._waiting):
                self._waiting[:] = left
                self._link.send(framing.pack(frame.id, framing.LEFT_OUT))
            return
        try:
            self._waiting.append(self._parsed(frame))
        except Exception as error:  # noqa: BLE001 - one bad request must not end the others' worker
            self._link.send(self._refusal(frame.id, frame.kind, error))

    def _parsed(self, frame: framing.Frame) -> batching.Waiting:
        if frame.kind == framing.INVOKE:
            read = self._scorer.read_invoke(*framing.unpack_invoke(frame.payload))
            about: dict[str, Any] = {}
        else:
            head, buffers = self._columns(frame)
            data, about = self._typed.read(head, buffers), head["answer"]
            read = scoring.Read(data, head["params"], unwrapped=False)
        count, key = self._rows.count_and_key(read.data, read.params)

        def render(result: Any) -> bytes:
            if frame.kind != framing.INVOKE:
                return self._rendered_columns(frame, about, result)
            text = self._scorer.answer_invoke(result, unwrapped=read.unwrapped)
            return self._whole_answer(frame.id, text.encode())

        return batching.Waiting(frame.id, frame.kind, read.data, read.params, count, key, render)

    def _columns(self, frame: framing.Frame) -> tuple[dict[str, Any], list[bytes]]:
        if frame.kind != framing.INFER:
            return tensors.unpack(frame.payload)
        request_id, body = framing.unpack_invoke(frame.payload)
        asked = infer.question(infer.loads(body), self._signature, request_id)
        if asked.seconds is not None:
            said = framing.pack_seconds(asked.seconds)
            self._link.send(framing.pack(frame.id, framing.DEADLINE, said))
        return asked.head, asked.buffers

    def _rendered_columns(self, frame: framing.Frame, about: dict[str, Any], result: Any) -> bytes:
        """Return typed columns, or the whole answer where the columns are large."""
        head, buffers = self._typed.written(result)
        if frame.kind != framing.INFER and sum(map(len, buffers)) <= infer.LARGE:
            return framing.pack(frame.id, framing.RESULT, tensors.pack(head, buffers))
        content = infer.answer(head, buffers, *self._served, about)
        return self._whole_answer(frame.id, infer.dumps(content))

    @staticmethod
    def _whole_answer(request_id: int, body: bytes) -> bytes:
        answer = framing.pack_answer(200, "application/json", body)
        return framing.pack(request_id, framing.ANSWER, answer)

    def _answer(self, group: list[batching.Waiting]) -> None:
        for answered in self._batching.answer(group, self._call):
            count = sum(request.rows for request, _, _ in answered)
            batch = framing.pack_batch(len(answered), count, self._took)
            parts = [framing.pack(0, framing.BATCH, batch)]
            parts += [self._rendered(*answer) for answer in answered]
            parts.append(answers.packed(result for _, result, error in answered if error is None))
            self._link.send(b"".join(parts))
            if self._scorer.broken:
                os._exit(BROKEN)

    def _call(self, asked: list[batching.Waiting], data: Any, params: Any) -> Any:
        """Call the model, after the front knows for which requests: the call may never return."""
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

    def _rehearse(self) -> None:
        self._batching.rehearse(self._call)
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
        if isinstance(error, BadInput | InvalidValue):
            error = scoring.Refused(400, "text/plain", str(error), str(error))
        if not isinstance(error, scoring.Refused):
            return framing.pack(request_id, framing.RAISED, json.dumps(describe(error)).encode())
        if kind == framing.INVOKE:
            answer = framing.pack_answer(error.status, error.content_type, error.body.encode())
            return framing.pack(request_id, framing.ANSWER, answer)
        message = json.dumps({"status": error.status, "message": error.message}).encode()
        return framing.pack(request_id, framing.REJECTED, message)


def main(descriptor: int, front: int, artifact: str, options: dict[str, Any]) -> None:
    """Load the model, report it to the front, and answer until the front is gone."""
    die_with_parent(front)
    faulthandler.enable()  # a front that finds the model hanging asks for its stacks (SIGABRT)
    os.dup2(2, 1)  # the model's output goes to the log at once
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    to_front = Link(descriptor)
    # Objects that are loaded now stay: a search for garbage among them, now or later, costs time
    # and finds next to nothing (0.3-0.7 s of a start; 6 % of the objects).
    gc.disable()
    try:
        model, description = loading.load(artifact)
        worker = Worker(to_front, model, artifact, options, description["signature"])
    except BaseException as error:  # noqa: BLE001 - a model's code may even call sys.exit; the front says why it failed
        to_front.send_json(0, framing.FAILED, describe(error))
        return
    gc.freeze()
    gc.enable()
    to_front.send_json(0, framing.READY, description)
    try:
        worker.run()
    except BaseException:  # noqa: BLE001 - threads of the model may live on: this process must not
        traceback.print_exc()
    os._exit(BROKEN)
