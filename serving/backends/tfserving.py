"""Ask TensorFlow Serving, on loopback, the questions of both protocols.

TensorFlow Serving publishes its model's status and signature (metadata); the front polls them. A
server that does not answer is not ready, and is ready again once it answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from serving.backends import http1
from serving.backends.base import CANNOT_LOAD, Deadline, Loaded, NativeProtocol, Unavailable
from serving.backends.helper import HelperProcess
from serving.protocols import mlflow, tensorflow
from serving.protocols.answer import JSON, Answer
from serving.telemetry import log
from serving.worker import framing
from serving.worker.framing import Frame, Payload
from serving.worker.oip import infer, tensors
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.backends.base import Reading
    from serving.predictor import Predictor, Sidecar
    from serving.telemetry.state import StateFile

POLL_SECONDS = 1.0
"""Seconds between two polls while the model is ready."""
RETRY_SECONDS = 0.1
"""Seconds between two polls while it is not."""
POLL_TIMEOUT = 5.0
"""Time limit of one poll, in seconds."""
CONTENT = "application/json"


class _ModelUnavailable(Exception):  # noqa: N818 - named for what it is
    """The model is not available; `final` if it never will be."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class TensorFlowServing:
    """The model version that TensorFlow Serving serves for this front."""

    def __init__(
        self,
        predictor: Predictor,
        sidecar: Sidecar,
        state: StateFile,
        on_ready: Callable[[Loaded], None],
        on_call: Callable[[float], None],
    ) -> None:
        self._predictor, self._state = predictor, state
        self._on_ready, self._on_call = on_ready, on_call
        self._client = http1.Client(sidecar.url)
        name = f"/v1/models/{quote(sidecar.model, safe='')}"
        self._path = f"{name}/versions/{quote(predictor.model_version, safe='')}".encode()
        self._helper = HelperProcess()
        self._signature = Signature(None, None, frozenset())
        self._stopping, self._poll_now = False, asyncio.Event()
        self.native: NativeProtocol | None = NativeProtocol(name.encode(), self._pass_on)
        self.ready = self.was_ready = False
        self.losses = 0

    def readings(self) -> list[Reading]:
        """Return the count of losses."""
        says = "How often TensorFlow Serving went, after it was ready."
        return [("schnitzel_worker_restarts_total", says, lambda: self.losses)]

    # -- watching

    async def run(self) -> int:
        """Poll TensorFlow Serving until `stop`; return the exit code: 0, or CANNOT_LOAD."""
        while not self._stopping:
            try:
                await self._poll()
            except _ModelUnavailable as error:
                self._lost(error)
                if error.final and not self.was_ready:
                    self._state.change(phase="failed", reason="LoadError", message=str(error))
                    return CANNOT_LOAD
            self._poll_now.clear()
            try:
                async with asyncio.timeout(POLL_SECONDS if self.ready else RETRY_SECONDS):
                    await self._poll_now.wait()
            except TimeoutError:
                continue
        return 0

    def stop(self) -> None:
        """Stop polling."""
        self.ready, self._stopping = False, True
        self._poll_now.set()
        self._client.close()
        self._helper.close()

    async def _poll(self) -> None:
        """Check that the model is available, and read the signature of a newly available model.

        Raises:
            _ModelUnavailable: the model is not available.
        """
        status = await self._get(self._path)
        if status.status != 200:
            raise _ModelUnavailable(tensorflow.error_message(status.body))
        try:
            found = json.loads(status.body)["model_version_status"][0]
            state, why = found["state"], found.get("status", {}).get("error_message", "")
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise _ModelUnavailable(f"its status cannot be read: {error!r}") from error
        if state != "AVAILABLE":
            raise _ModelUnavailable(why or f"the model is {state.lower()}", final=state == "END")
        if self.ready or self._stopping:
            return
        metadata = await self._get(self._path + b"/metadata")
        if metadata.status != 200:
            raise _ModelUnavailable(tensorflow.error_message(metadata.body))
        try:
            self._signature = tensorflow.signature(metadata.body)
        except tensorflow.Unreadable as error:
            raise _ModelUnavailable(str(error)) from error
        self._on_ready(Loaded(self._signature, tensorflow.PLATFORM, ""))
        self.ready = self.was_ready = True
        log.say("TensorFlow Serving has the model")
        self._state.change(phase="ready", reason="", message="", traceback_id=None)

    async def _get(self, path: bytes) -> http1.Response:
        try:
            async with asyncio.timeout(POLL_TIMEOUT):
                return await self._client.ask("GET", path)
        except http1.Gone as error:
            raise _ModelUnavailable(str(error)) from error
        except TimeoutError as error:
            raise _ModelUnavailable(
                f"it did not say what it has within {POLL_TIMEOUT:g} s"
            ) from error

    def _lost(self, error: _ModelUnavailable) -> None:
        if not self.ready:
            return
        self.ready = False
        if self._stopping:
            return
        self.losses += 1
        message = f"TensorFlow Serving does not have the model any longer: {error}"
        log.say(message, level=logging.ERROR)
        self._state.change(phase="unready", reason="WorkerDied", message=message)

    # -- asking

    async def ask(
        self,
        kind: int,
        payload: Payload,
        seconds: float | None = None,
        *,
        alone: bool = False,  # noqa: ARG002 - it batches as it is set up to
    ) -> Frame:
        """Return the answer to an INVOKE, COLUMNS or INFER frame.

        Raises:
            DeadlineExceeded: TensorFlow Serving did not answer in time.
            Unavailable: the model is not loaded, or TensorFlow Serving ended before it answered.
        """
        if not self.ready:
            raise Unavailable("the model is not loaded")
        longest = self._predictor.timeout_seconds
        try:
            async with Deadline(min(seconds or longest, longest)) as limit:
                if kind == framing.INVOKE:
                    return Frame(0, *await self._invoke(payload))
                return Frame(0, *await self._infer(kind, payload, limit))
        except tensorflow.Unreadable as error:
            said = {"message": f"TensorFlow Serving: {error}", "traceback": ""}
            return Frame(0, framing.RAISED, json.dumps(said).encode())

    async def _infer(self, kind: int, payload: Payload, limit: Deadline) -> tuple[int, bytes]:
        inputs, outputs = self._signature.inputs, self._signature.outputs
        if inputs is None or outputs is None:
            why = f"the model has no signature '{tensorflow.DEFAULT}': ask it at /v1/models"
            return framing.REJECTED, json.dumps({"status": 400, "message": why}).encode()
        if kind == framing.INFER:
            read = tensorflow.infer_question
            body, about, seconds = await self._helper.run(read, payload, self._signature)
            if seconds is not None:
                limit.shorten(seconds)
        else:
            head, buffers = tensors.unpack(b"".join(payload))
            body, about = tensorflow.infer_body(head, buffers, inputs), head["answer"]
        answer = await self._predict(body)
        if answer.status != 200:
            refused = {"status": answer.status, "message": tensorflow.error_message(answer.body)}
            return framing.REJECTED, json.dumps(refused).encode()
        if kind == framing.COLUMNS and len(answer.body) <= infer.LARGE:
            return framing.RESULT, tensors.pack(*tensorflow.infer_result(answer.body, outputs))
        served, write = self._predictor, tensorflow.infer_answer
        names = served.model, served.model_version
        content = await self._helper.run(write, answer.body, outputs, *names, about)
        return framing.ANSWER, framing.pack_answer(200, CONTENT, content)

    async def _invoke(self, payload: Payload) -> tuple[int, bytes]:
        content_type, body = framing.unpack_invoke(b"".join(payload))
        question = content_type.encode("latin-1"), body, self._signature.inputs
        try:
            if len(body) > infer.LARGE:
                asked = await self._helper.run(tensorflow.invocation_body, *question)
            else:
                asked = tensorflow.invocation_body(*question)
        except BadInput as error:
            refused = mlflow.failure(400, str(error))
            return framing.ANSWER, framing.pack_answer(400, CONTENT, refused)
        answer = await self._predict(asked)
        if answer.status == 200:
            content = tensorflow.predictions(answer.body)
        else:
            content = mlflow.failure(answer.status, tensorflow.error_message(answer.body))
        return framing.ANSWER, framing.pack_answer(answer.status, CONTENT, content)

    async def _predict(self, body: bytes) -> http1.Response:
        begin = time.perf_counter()
        answer = await self._ask("POST", self._path + b":predict", JSON, body)
        self._on_call(time.perf_counter() - begin)
        return answer

    async def _pass_on(self, method: str, target: bytes, kind: bytes, body: bytes) -> Answer:
        how = "POST" if method == "POST" else "GET"
        async with Deadline(self._predictor.timeout_seconds):
            answer = await self._ask(how, target, kind or JSON, body)
        return Answer(answer.status, answer.body, answer.content_type or JSON)

    async def _ask(self, method: str, target: bytes, kind: bytes, body: bytes) -> http1.Response:
        try:
            return await self._client.ask(method, target, body, kind)
        except http1.Gone as error:
            self._poll_now.set()
            message = "TensorFlow Serving ended before it answered"
            raise Unavailable(f"{message}: {error}") from error
