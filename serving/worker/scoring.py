"""Read requests in MLflow's protocol, call the model, and render its answers.

Runs in the worker, with the model's own mlflow, pandas and numpy. mlflow itself
(mlflow.pyfunc.scoring_server) reads and writes its protocol, so that answers and refusals are those
of `mlflow models serve`. Where mlflow would change a value, or refuse a good one, strict.py reads
the request, unless the deployment's `input` is `mlflow`.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
from typing import Any, NamedTuple

from .reading import strict
from .reading.strict import LeftToMlflow
from .reading.values import InvalidValue

REPEATED = 4_000
"""Characters of a refusal's message that are kept at each end."""


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """The request is bad; carries the HTTP status, the content type and the body of the answer."""

    def __init__(self, status: int, content_type: str, body: str, message: str) -> None:
        super().__init__(message)
        self.status, self.content_type, self.body, self.message = (
            status,
            content_type,
            body,
            message,
        )


class Read(NamedTuple):
    """A valid request: data and params for the model.

    `unwrapped` is whether the answer goes unwrapped (chat models).
    """

    data: Any
    params: Any
    unwrapped: bool


class _Parsed(BaseException):
    """Carries data out of mlflow's `invocations`, which turns every `Exception` into an answer."""


class _Reader:
    """Stands in for the model in mlflow's `invocations`, and hands the parsed data over."""

    def __init__(self, metadata: Any) -> None:
        self.metadata = metadata

    def predict(self, data: Any, params: Any = None) -> Any:
        raise _Parsed(data, params)


class Scorer:
    """A loaded pyfunc model, with the reading of requests and the rendering of answers."""

    def __init__(self, model: Any, *, strict_input: bool = True) -> None:
        self._server = importlib.import_module("mlflow.pyfunc.scoring_server")
        self._refusal = importlib.import_module("mlflow.exceptions").MlflowException
        self.model = model
        self.broken = False
        """Whether the model raised an exception that no process should outlive, such as
        KeyboardInterrupt."""
        self._schema = model.metadata.get_input_schema()
        self._reader = _Reader(model.metadata)
        self._strict = strict.Strict(self._schema) if strict_input else None
        hinted = getattr(model.metadata, "_is_signature_from_type_hint", lambda: False)
        self._is_hinted = bool(hinted())
        self._is_chat = getattr(self._server, "is_unified_llm_input", lambda _: False)
        self._takes_params = "params" in inspect.signature(model.predict).parameters

    # -- reading

    def read_invoke(self, content_type: str, body: bytes) -> Read:
        """Read a request in MLflow's protocol.

        Raises:
            Refused: `mlflow models serve` would refuse the request, or would change a value.
        """
        try:
            if self._strict is not None:
                return self._read_strictly(self._strict, content_type, body)
        except LeftToMlflow:
            pass
        except InvalidValue as error:
            raise _bad(str(error)) from error
        try:
            answer = self._server.invocations(body, content_type, self._reader, self._schema)
        except _Parsed as parsed:
            data, params = parsed.args
            return Read(data, params, self._is_unwrapped(data, body))
        except self._refusal as error:
            raise self._refused(error) from error
        except Exception as error:
            said = f"The input could not be read: {type(error).__name__}: {error}"
            raise _bad(said) from error
        raise Refused(answer.status, answer.mimetype, answer.response, answer.response)

    def _read_strictly(self, reader: strict.Strict, content_type: str, body: bytes) -> Read:
        """Read a request with strict.py.

        Raises:
            InvalidValue: a value is not of the signature's type.
            LeftToMlflow: mlflow reads the request, or refuses it.
        """
        kind, _, parameters = (part.strip() for part in content_type.partition(";"))
        if parameters.replace(" ", "").lower() not in ("", "charset=utf-8") or self._is_hinted:
            raise LeftToMlflow
        try:
            text = body.decode() if kind == "text/csv" else ""
            request = strict.loads(body) if kind == "application/json" else None
        except (ValueError, RecursionError) as error:
            raise LeftToMlflow from error
        if kind == "text/csv":
            return Read(reader.table(text), None, unwrapped=False)
        if not isinstance(request, dict) or self._is_chat(request):
            raise LeftToMlflow
        try:
            return Read(reader.frame(request), request.get("params"), unwrapped=False)
        except LeftToMlflow:
            reader.check(request, body)
            raise

    def _is_unwrapped(self, data: Any, body: bytes) -> bool:
        """Return whether the body is a chat's.

        The data alone cannot decide: a model's tensors may have the names of a chat's fields.
        """
        return isinstance(data, dict) and self._is_chat(data) and self._is_chat(json.loads(body))

    # -- asking

    def predict(self, data: Any, params: Any) -> Any:
        """Call the model, and return its result.

        Raises:
            Refused: mlflow finds that data or params break the signature.
        """
        try:
            if self._takes_params:
                return self.model.predict(data, params=params)
            return self.model.predict(data)
        except self._refusal as error:
            error.message = f"Failed to predict data '{data}'. \nError: {error.message}"
            raise self._refused(error) from error
        except SystemExit as error:
            raise RuntimeError(f"the model called sys.exit({error.code})") from error
        except Exception:
            raise
        except BaseException as error:
            self.broken = True
            raise RuntimeError(f"the model raised {type(error).__name__}") from error

    def _refused(self, error: Any) -> Refused:
        # The stack trace that mlflow puts into some refusals stays here: it would show clients
        # details of the machine.
        body = json.loads(error.serialize_as_json())
        body.pop("stack_trace", None)
        body["message"] = message = _readable(str(error.message))
        return Refused(error.get_http_status_code(), "application/json", json.dumps(body), message)

    def answer_invoke(self, result: Any, *, unwrapped: bool) -> str:
        """Return the body with which `mlflow models serve` would answer; strictly, it is JSON."""
        written = io.StringIO()
        if unwrapped:
            self._server.unwrapped_predictions_to_json(result, written)
        else:
            self._server.predictions_to_json(result, written)
        text = written.getvalue()
        if self._strict is not None and ("NaN" in text or "Infinity" in text):
            # JSON has no such numbers. Texts that contain these letters stay as they are.
            text = json.dumps(json.loads(text, parse_constant=lambda _: None))
        return text


def _readable(message: str) -> str:
    """Cut the repeated data out of the middle of a message; the reason comes last."""
    if len(message) <= 2 * REPEATED:
        return message
    return f"{message[:REPEATED]} [cut] {message[-REPEATED:]}"


def _bad(message: str) -> Refused:
    """Build a refusal in the form of mlflow's errors."""
    text = json.dumps({"error_code": "BAD_REQUEST", "message": message})
    return Refused(400, "application/json", text, message)
