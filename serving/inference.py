"""Answer questions in any protocol with the model.

Independent of the transport: HTTP (serving/front) is one caller.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from serving.backends.base import DeadlineExceeded, Unavailable
from serving.backends.queue import Overloaded, PoisonRequest
from serving.protocols import mlflow, oip
from serving.protocols.answer import Answer
from serving.telemetry import log, outcomes
from serving.telemetry.redact import shown
from serving.worker import framing
from serving.worker.oip import infer, tensors
from serving.worker.oip.arrange import BadInput

if TYPE_CHECKING:
    from serving.backends.base import Backend, Loaded
    from serving.predictor import Predictor
    from serving.worker.framing import Frame

INFER, INVOCATIONS = "infer", "invocations"
RETRY = ((b"retry-after", b"1"),)
_JSON_KINDS = frozenset(
    # curl sends the last type when the caller sets no Content-Type.
    {b"", b"application/json", b"text/json", b"application/x-www-form-urlencoded"}
)


class Overload(Answer):
    """The answer to a request that the server has no room for."""


class Poisoned(Answer):
    """The answer to a request that the model's process died of."""


class ServerFault(Answer):
    """The answer to a request that failed through a fault of the server."""


class Question(NamedTuple):
    """A client's question to the model.

    Attributes:
        protocol: INFER (Open Inference Protocol) or INVOCATIONS (MLflow's).
        id: the request's own id, or a generated id.
        seconds: how long the client waits; None if the client sets no limit.
        alone: whether the model must not be asked anything else with it.
    """

    protocol: str
    content_type: bytes
    body: bytes
    id: str
    seconds: float | None = None
    alone: bool = False


class Inference:
    """A backend and the description of its model; both arrive while the server already listens."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.backend: Backend | None = None
        self.model: Loaded | None = None
        self._asks = {INFER: self._infer, INVOCATIONS: self._invocations}

    @property
    def ready(self) -> bool:
        """Whether the model can be asked."""
        return self.backend is not None and self.backend.ready

    async def answer(self, question: Question) -> Answer:
        """Answer a question in its own protocol, errors included."""
        where = question.protocol
        if self.backend is None or self.model is None or not self.backend.ready:
            return not_ready(where)
        try:
            return await self._asks[where](self.backend, self.model, question)
        except BadInput as error:
            return failed(where, 400, str(error))
        except (DeadlineExceeded, Unavailable) as error:
            return backend_error(where, error)
        except PoisonRequest:
            said = "the model's process ended each time that it worked on this request"
            return Poisoned(*failed(where, 500, f"{said}: it is not asked again"))

    async def _invocations(self, backend: Backend, _model: Loaded, question: Question) -> Answer:
        payload = mlflow.question(question.content_type, question.body)
        frame = await backend.ask(framing.INVOKE, payload, question.seconds, alone=question.alone)
        if frame.kind != framing.ANSWER:
            # mlflow answers 400 for every exception of its model.
            status = 400 if self._predictor.input == "mlflow" else 500
            return _raised(INVOCATIONS, frame, status)
        status, content_type, answer = mlflow.answer(frame)
        return Answer(status, answer, content_type)

    async def _infer(self, backend: Backend, model: Loaded, question: Question) -> Answer:
        kind = question.content_type.partition(b";")[0].strip().lower()
        if kind not in _JSON_KINDS and not kind.endswith(b"+json"):
            said = f"content type {kind.decode('latin-1')[:80]!r} is not known"
            return failed(INFER, 415, f"{said}: send application/json")
        if len(question.body) > infer.LARGE:
            about = None
            payload = oip.unread(question.body, question.id)
            frame = await backend.ask(
                framing.INFER, payload, question.seconds, alone=question.alone
            )
        else:
            asked = oip.question(question.body, model.signature, question.id)
            about = asked.head["answer"]
            columns = tensors.pack(asked.head, asked.buffers)
            seconds = min(filter(None, (asked.seconds, question.seconds)), default=None)
            frame = await backend.ask(framing.COLUMNS, (columns,), seconds, alone=question.alone)
        if frame.kind == framing.REJECTED:
            said = json.loads(frame.payload)
            return Answer(said["status"], oip.failure(_short(said["message"])))
        if frame.kind == framing.ANSWER:  # large: the worker has written the body
            status, content_type, answer = framing.unpack_answer(frame.payload)
            return Answer(status, answer, content_type)
        if frame.kind != framing.RESULT or about is None:
            return _raised(INFER, frame)
        name, version = self._predictor.model, self._predictor.model_version
        return Answer(200, oip.answer(frame, name, version, about))


def failed(where: str, status: int, message: str, error_id: str | None = None) -> Answer:
    """Build the error answer in the protocol of `where`."""
    if where == INVOCATIONS:
        return Answer(status, mlflow.failure(status, message, error_id))
    return Answer(status, oip.failure(message, error_id))


def outcome(answer: Answer) -> str:
    """Return the outcome (telemetry.outcomes) of a request that got this answer."""
    if isinstance(answer, Overload):
        return outcomes.OVERLOAD
    return outcomes.FAILED if isinstance(answer, ServerFault) else outcomes.of_status(answer.status)


def not_ready(where: str) -> Answer:
    """Build the answer of a server whose model is not loaded."""
    return failed(where, 503, "the model is not loaded")._replace(headers=RETRY)


def backend_error(where: str, error: DeadlineExceeded | Unavailable) -> Answer:
    """Build the answer for a backend that did not answer."""
    if isinstance(error, DeadlineExceeded):
        return failed(where, 504, str(error))
    answer = failed(where, 503, str(error))._replace(headers=RETRY)
    return Overload(*answer) if isinstance(error, Overloaded) else answer


def server_fault(where: str, error: Exception) -> Answer:
    """Answer for a fault of the server; the log keeps the fault under the id in the answer."""
    error_id = log.keep_exception(error)
    said = f"the server failed to answer (error {error_id})"
    return ServerFault(*failed(where, 500, said, error_id))


def _raised(where: str, frame: Frame, status: int = 500) -> Answer:
    said = json.loads(frame.payload)
    error_id = log.keep_traceback(said["message"], said["traceback"])
    message = f"the model raised {shown(said['message'])[:300]} (error {error_id})"
    return failed(where, status, message, error_id)


def _short(message: str) -> str:
    """Return mlflow's reason without the data that mlflow repeats before it."""
    return message.rpartition("Error: ")[2] if "Failed to enforce schema" in message else message
