"""Answer HTTP requests: predictions, health, metadata, metrics."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import orjson

from serving.backends.base import DeadlineExceeded, Unavailable
from serving.front import deadline, openapi, routes
from serving.front.encoding import decoded
from serving.front.listener import Refused
from serving.inference import (
    INFER,
    INVOCATIONS,
    RETRY,
    Overload,
    Question,
    backend_error,
    failed,
    not_ready,
    outcome,
    server_fault,
)
from serving.protocols import oip
from serving.protocols.answer import TEXT, Answer, dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from serving.backends.base import NativeProtocol
    from serving.front.listener import Request
    from serving.front.seldon import OperatorPaths
    from serving.inference import Inference
    from serving.predictor import Predictor
    from serving.queue.door import Door
    from serving.telemetry.instruments import Instruments
    from serving.telemetry.state import StateFile

VERSION = "0.1.0"
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
MIRRORED = b"x-schnitzel-mirrored"
"""The header of mirrored requests, for gateways that add no mark of their own."""
_POSTS = frozenset({INFER, INVOCATIONS})
_GETS = frozenset({b"GET", b"HEAD"})
_NATIVE_METHODS = _GETS | {b"POST"}


class App:
    """The application of one predictor."""

    def __init__(
        self,
        predictor: Predictor,
        inference: Inference,
        instruments: Instruments,
        state: StateFile,
        paths: OperatorPaths,
    ) -> None:
        self._predictor, self._inference = predictor, inference
        self._instruments, self._state, self._paths = instruments, state, paths
        self._model, self._version = predictor.model, predictor.model_version
        self._headers = (
            (b"x-schnitzel-model-version", predictor.model_version.encode("latin-1", "replace")),
            (b"x-schnitzel-predictor", predictor.predictor.encode("latin-1", "replace")),
        )
        self.start = deadline.Start()
        self.draining = False
        self.door: Door | None = None
        """The queue that is answered as well; None: there is none."""
        self.in_flight = 0
        self.last_question = 0.0
        """When the last request for a prediction came (time.monotonic)."""
        self._gets: dict[str, Callable[[], Answer]] = {
            "index": self._index,
            "server": self._server,
            "live": lambda: Answer(200, b'{"live":true}'),
            "ready": self._is_ready,
            "model_ready": lambda: self._is_ready(name=predictor.model),
            "model": self._metadata,
            "ping": self._ping,
            "version": self._mlflow_version,
            "openapi": self._openapi,
            "metrics": lambda: Answer(200, instruments.page(), PROMETHEUS),
        }

    @property
    def started(self) -> bool:
        """Whether the model is loaded: a broker that is away is no reason to start anew."""
        return self._inference.ready and not self.draining

    @property
    def ready(self) -> bool:
        """Whether the server can answer, messages of its queue included."""
        return self.started and (self.door is None or self.door.ready)

    def look(self, where: str) -> Answer:
        """Answer a GET without counting it."""
        return self._gets[where]()

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer at once without the model; return a coroutine for the model's answer."""
        begin = time.perf_counter()
        path = self._paths.translate(request.path)
        request_id = _request_id(request.header(b"x-request-id"))
        native = self._inference.backend.native if self._inference.backend is not None else None
        if native is not None and native.matches(path):
            asked = self._native(native, path, request)
            protocol = "own" if request.method == b"POST" else "other"
            return self._later(protocol, begin, request_id, asked, mirrored=_mirrored(request))
        try:
            where = routes.find(path, self._model, self._version)
        except routes.NoSuchPath as error:
            answer = Answer(404, oip.failure(str(error)))
            return self._finished("other", begin, request_id, answer)
        protocol = where if where in _POSTS else "other"
        if where in _POSTS and request.method == b"POST":
            self.last_question = time.monotonic()
            asked = self._predict(where, request, request_id)
            return self._later(protocol, begin, request_id, asked, mirrored=_mirrored(request))
        if where in _POSTS:
            answer = _not_allowed(where, b"POST")
        elif request.method in _GETS:
            if where == "ready" and request.query:
                return self._ready_soon(request, request_id)
            answer = self._gets[where]()
        else:
            answer = _not_allowed(where, b"GET, HEAD")
        return self._finished(protocol, begin, request_id, answer)

    def refuse(self, path: bytes, status: int, message: str) -> Answer:
        """Answer for a request that the server refuses, in the protocol of its path."""
        try:
            where = routes.find(self._paths.translate(path), self._model, self._version)
        except routes.NoSuchPath:
            where = "other"
        answer, reason = failed(where, status, message), ""
        if status == 503:
            answer, reason = Overload(*answer._replace(headers=RETRY)), "front_full"
        protocol = where if where in _POSTS else "other"
        return self._finished(protocol, time.perf_counter(), _request_id(b""), answer, reason)

    async def _later(
        self,
        protocol: str,
        begin: float,
        request_id: str,
        answer: Coroutine[Any, Any, Answer],
        *,
        mirrored: bool,
    ) -> Answer:
        self.in_flight += 1
        found = Answer(499, b"")  # the client left
        try:
            found = await answer
        except Refused as error:
            found = failed(protocol, error.status, str(error))
        except Exception as error:  # noqa: BLE001 - the client always gets an answer with an id
            found = server_fault(protocol, error)
        finally:
            self.in_flight -= 1
            finished = self._finished(protocol, begin, request_id, found, mirrored=mirrored)
        return finished

    def _finished(
        self,
        protocol: str,
        begin: float,
        request_id: str,
        answer: Answer,
        reason: str = "",
        *,
        mirrored: bool = False,
    ) -> Answer:
        seconds, how = time.perf_counter() - begin, outcome(answer)
        status = answer.status
        self._instruments.record_answer(protocol, status, seconds, how, reason, mirrored=mirrored)
        mine = (*self._headers, (b"x-request-id", request_id.encode()))
        return answer._replace(headers=mine + answer.headers)

    async def _predict(self, where: str, request: Request, request_id: str) -> Answer:
        if not self._inference.ready:
            return not_ready(where)
        if where == INFER and request.header(b"inference-header-content-length"):
            return failed(where, 400, "binary tensors are not supported: send 'data' as JSON")
        body = await self._body(request)
        kind, seconds = request.header(b"content-type"), deadline.seconds(request)
        question = Question(where, kind, body, request_id, seconds)
        return await self._inference.answer(question)

    async def _native(self, native: NativeProtocol, path: bytes, request: Request) -> Answer:
        """Have the backend answer in its native protocol."""
        if request.method not in _NATIVE_METHODS:
            return _not_allowed("other", b"GET, HEAD, POST")
        if request.method == b"POST":
            self.last_question = time.monotonic()
        target = path + (b"?" + request.query if request.query else b"")
        method, kind = request.method.decode(), request.header(b"content-type")
        try:
            return await native.ask(method, target, kind, await self._body(request))
        except (DeadlineExceeded, Unavailable) as error:
            return backend_error("other", error)

    async def _body(self, request: Request) -> bytes:
        encodings = [value for name, value in request.headers if name == b"content-encoding"]
        encoding = b", ".join(encodings)  # RFC 9110, 5.3: several fields are one list
        return await decoded(request.body, encoding, self._predictor.max_body_bytes)

    # -- everything else

    def _is_ready(self, *, at_start: bool = False, **named: str) -> Answer:
        if self.started if at_start else self.ready:
            return Answer(200, orjson.dumps({**named, "ready": True}))
        state = self._state.state
        said = {
            **named,
            "ready": False,
            "reason": state.reason or "Loading",
            "message": state.message or "the model is being loaded",
        }
        return Answer(503, orjson.dumps(said), headers=RETRY)

    async def _ready_soon(self, request: Request, request_id: str) -> Answer:
        """Answer a probe of the start, which offers to wait; that time is not counted."""
        try:
            await self.start.wait(deadline.wait(request.query))
            answer = self._is_ready(at_start=True)
        except Refused as error:
            answer = failed("other", error.status, str(error))
        return self._finished("other", time.perf_counter(), request_id, answer)

    def _ping(self) -> Answer:
        return Answer(200, b"\n", TEXT) if self.ready else not_ready("other")

    def _mlflow_version(self) -> Answer:
        if self._inference.model is None:
            return not_ready("other")
        if not self._inference.model.mlflow:
            return failed("other", 404, "this model is not served by mlflow")
        return Answer(200, self._inference.model.mlflow.encode(), TEXT)

    def _metadata(self) -> Answer:
        known = self._inference.model
        if known is None:
            return not_ready("other")
        return Answer(
            200, oip.metadata(self._model, self._version, known.platform, known.signature)
        )

    def _openapi(self) -> Answer:
        known = self._inference.model
        if known is None:
            return not_ready("other")
        shown = openapi.document(self._model, self._version, known.signature)
        return Answer(200, dumps(shown))

    def _server(self) -> Answer:
        return Answer(
            200, orjson.dumps({"name": "schnitzel", "version": VERSION, "extensions": []})
        )

    def _index(self) -> Answer:
        paths = [
            f"v2/models/{self._model}",
            f"v2/models/{self._model}/infer",
            "invocations",
            "metrics",
            "openapi.json",
        ]
        about = {"model": self._model, "version": self._version, "ready": self.ready}
        return Answer(200, orjson.dumps(about | {"paths": paths}))


def _request_id(sent: bytes) -> str:
    """Return the client's id if it is safe in a header and a log, else a new id."""
    text = sent.decode("latin-1")
    usable = 0 < len(text) <= 128 and text.isascii() and text.isprintable()
    return text if usable else os.urandom(16).hex()


def _mirrored(request: Request) -> bool:
    """Return whether the gateway drops the answer: by Envoy's and Istio's host, or our header."""
    for name, value in request.headers:
        if name == b"host":
            if value.partition(b":")[0].endswith(b"-shadow"):
                return True
        elif name == MIRRORED and value:
            return True
    return False


def _not_allowed(where: str, methods: bytes) -> Answer:
    answer = failed(where, 405, f"use {methods.decode()}")
    return answer._replace(headers=((b"allow", methods),))
