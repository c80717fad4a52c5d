"""An HTTP request goes in; its answer comes out: both protocols, health, metadata, metrics."""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import TYPE_CHECKING

import orjson

from serving.backends.base import Unavailable
from serving.front import asgi, routes
from serving.protocols import mlflow, oip
from serving.protocols.answer import Answer
from serving.protocols.arrange import BadInput
from serving.telemetry import log
from serving.telemetry.redact import shown
from serving.worker import framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.backends.base import Backend, Loaded, Own
    from serving.predictor import Predictor
    from serving.telemetry.instruments import Instruments
    from serving.telemetry.state import StateFile
    from serving.worker.framing import Frame

VERSION = "0.1.0"
RETRY = ((b"retry-after", b"1"),)
CLOSE = ((b"connection", b"close"),)
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
_POSTS = frozenset({"infer", "invocations"})
_GETS = frozenset({"GET", "HEAD"})
_OWN = _GETS | {"POST"}
_JSON_KINDS = frozenset(
    # The last is what curl calls everything that it is not told the type of.
    {b"", b"application/json", b"text/json", b"application/x-www-form-urlencoded"}
)


class App:
    """The ASGI application of one predictor."""

    def __init__(self, predictor: Predictor, instruments: Instruments, state: StateFile) -> None:
        self._predictor, self._instruments, self._state = predictor, instruments, state
        self._model, self._version = predictor.model, predictor.model_version
        self._backend: Backend | None = None
        self._loaded: Loaded | None = None
        self._headers = [
            (b"x-schnitzel-model-version", predictor.model_version.encode("latin-1", "replace")),
            (b"x-schnitzel-predictor", predictor.predictor.encode("latin-1", "replace")),
        ]
        self.draining = False
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
            "metrics": lambda: Answer(200, instruments.page(), PROMETHEUS),
        }

    def attach(self, backend: Backend) -> None:
        """Answer with what this has."""
        self._backend = backend

    def loaded(self, model: Loaded) -> None:
        """Take over what is known of the model, now that it is loaded."""
        self._loaded = model

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self._backend is not None and self._backend.ready and not self.draining

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer one request."""
        self.in_flight += 1
        try:
            await self._exchange(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _exchange(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        begin = time.perf_counter()
        headers: asgi.Headers = scope["headers"]
        request_id = _request_id(asgi.header(headers, b"x-request-id"))
        answer, protocol = Answer(499, b""), "other"
        try:
            path: bytes = scope["raw_path"]
            own = self._backend.own if self._backend is not None else None
            if own is not None and path.startswith(own.begin):
                protocol = "own"
                answer = await self._own(own, scope, receive)
            else:
                where = routes.find(path, self._model, self._version)
                protocol = where if where in _POSTS else "other"
                answer = await self._answer(where, scope["method"], headers, receive, request_id)
        except routes.NoSuchPath as error:
            answer = Answer(404, oip.failure(str(error)))
        except asgi.TooLarge:
            limit = self._predictor.max_body_bytes
            message = f"the body is larger than {limit} bytes, the most that is taken"
            answer = _failed(protocol, 413, message)._replace(headers=CLOSE)
        except asgi.NotDecoded as error:
            answer = _failed(protocol, error.status, str(error))
        except asgi.ClientLeft:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked gets an answer with an id
            answer = _broke(protocol, error)
        finally:
            self._instruments.answered(protocol, answer.status, time.perf_counter() - begin)
        mine = [*self._headers, (b"x-request-id", request_id.encode())]
        if self.draining:
            mine += CLOSE
        await asgi.reply(send, answer, mine)

    async def _answer(
        self,
        where: str,
        method: str,
        headers: asgi.Headers,
        receive: asgi.Receive,
        request_id: str,
    ) -> Answer:
        if where not in _POSTS:
            return self._gets[where]() if method in _GETS else _not_allowed(where, b"GET")
        if method != "POST":
            return _not_allowed(where, b"POST")
        self.last_question = time.monotonic()
        if self._backend is None or self._loaded is None or not self._backend.ready:
            return self._not_ready(where)
        body = await self._body(headers, receive)
        ask = self._infer if where == "infer" else self._invocations
        try:
            return await ask(self._backend, self._loaded, headers, body, request_id)
        except BadInput as error:
            return _failed(where, 400, str(error))
        except (TimeoutError, Unavailable) as error:
            return self._no_answer(where, error)

    async def _body(self, headers: asgi.Headers, receive: asgi.Receive) -> bytes:
        limit = self._predictor.max_body_bytes
        body = await asgi.body(receive, limit)
        return await asgi.decoded(body, asgi.header(headers, b"content-encoding"), limit)

    async def _own(self, own: Own, scope: asgi.Scope, receive: asgi.Receive) -> Answer:
        """Answer in the backend's own protocol, by the backend itself."""
        if scope["method"] not in _OWN:
            return _not_allowed("other", b"GET, POST")
        if scope["method"] == "POST":
            self.last_question = time.monotonic()
        body = await self._body(scope["headers"], receive)
        target = scope["raw_path"] + (b"?" + query if (query := scope["query_string"]) else b"")
        kind = asgi.header(scope["headers"], b"content-type")
        try:
            return await own.ask(scope["method"], target, kind, body)
        except (TimeoutError, Unavailable) as error:
            return self._no_answer("other", error)

    def _no_answer(self, where: str, error: TimeoutError | Unavailable) -> Answer:
        if isinstance(error, TimeoutError):
            seconds = self._predictor.timeout_seconds
            return _failed(where, 504, f"the model did not answer within {seconds:g} s")
        return _failed(where, 503, str(error))._replace(headers=RETRY)

    # -- predictions

    async def _invocations(
        self, backend: Backend, _model: Loaded, headers: asgi.Headers, body: bytes, _id: str
    ) -> Answer:
        payload = mlflow.question(asgi.header(headers, b"content-type"), body)
        frame = await backend.ask(framing.INVOKE, payload)
        if frame.kind != framing.ANSWER:
            return self._raised("invocations", frame)
        status, content_type, answer = mlflow.answer(frame)
        return Answer(status, answer, content_type)

    async def _infer(
        self, backend: Backend, model: Loaded, headers: asgi.Headers, body: bytes, request_id: str
    ) -> Answer:
        if asgi.header(headers, b"inference-header-content-length"):
            raise BadInput("binary tensors are not supported: send 'data' as JSON")
        kind = asgi.header(headers, b"content-type").partition(b";")[0].strip().lower()
        if kind not in _JSON_KINDS and not kind.endswith(b"+json"):
            said = kind.decode("latin-1")[:80]
            return _failed(
                "infer", 415, f"content type {said!r} is not known: send application/json"
            )
        question = oip.question(body, model.signature)
        frame = await backend.ask(framing.COLUMNS, question.payload)
        if frame.kind == framing.REJECTED:
            said = json.loads(frame.payload)
            return Answer(said["status"], oip.failure(_short(said["message"])))
        if frame.kind != framing.RESULT:
            return self._raised("infer", frame)
        identifier = question.id if question.id is not None else request_id
        answer = oip.answer(frame, self._model, self._version, identifier, question.outputs)
        return Answer(200, answer)

    def _raised(self, where: str, frame: Frame) -> Answer:
        said = json.loads(frame.payload)
        error_id = log.keep_traceback(said["message"], said["traceback"])
        message = f"the model raised {shown(said['message'])[:300]} (error {error_id})"
        return _failed(where, 500, message, error_id)

    # -- everything else

    def _is_ready(self, **named: str) -> Answer:
        if self.ready:
            return Answer(200, orjson.dumps({**named, "ready": True}))
        state = self._state.state
        said = {
            **named,
            "ready": False,
            "reason": state.reason or "Loading",
            "message": state.message or "the model is being loaded",
        }
        return Answer(503, orjson.dumps(said), headers=RETRY)

    def _ping(self) -> Answer:
        return Answer(200, b"\n") if self.ready else self._not_ready()

    def _not_ready(self, where: str = "other") -> Answer:
        return _failed(where, 503, "the model is not loaded")._replace(headers=RETRY)

    def _mlflow_version(self) -> Answer:
        if self._loaded is None:
            return self._not_ready()
        if not self._loaded.mlflow:
            return _failed("other", 404, "this model is not served by mlflow")
        return Answer(200, self._loaded.mlflow.encode())

    def _metadata(self) -> Answer:
        if self._loaded is None:
            return self._not_ready()
        known = self._loaded
        return Answer(
            200, oip.metadata(self._model, self._version, known.platform, known.signature)
        )

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
        ]
        shown = {
            "model": self._model,
            "version": self._version,
            "ready": self.ready,
            "paths": paths,
        }
        return Answer(200, orjson.dumps(shown))


def _request_id(sent: bytes) -> str:
    """Return the client's id if it can stand in a header and a log, else a new one."""
    text = sent.decode("latin-1")
    usable = 0 < len(text) <= 128 and text.isascii() and text.isprintable()
    return text if usable else os.urandom(16).hex()


def _short(message: str) -> str:
    """Return mlflow's reason without the data it repeats."""
    return message.rpartition("Error: ")[2] if "Failed to enforce schema" in message else message


def _failed(where: str, status: int, message: str, error_id: str | None = None) -> Answer:
    if where == "invocations":
        return Answer(status, mlflow.failure(status, message, error_id))
    return Answer(status, oip.failure(message, error_id))


def _broke(where: str, error: Exception) -> Answer:
    """Answer for a fault of ours: what it was stands in the log, under the id that is told."""
    trace = "".join(traceback.format_exception(error))
    error_id = log.keep_traceback(f"{type(error).__name__}: {error}", trace)
    return _failed(where, 500, f"the server failed to answer (error {error_id})", error_id)


def _not_allowed(where: str, method: bytes) -> Answer:
    answer = _failed(where, 405, f"use {method.decode()}")
    return answer._replace(headers=((b"allow", method),))
