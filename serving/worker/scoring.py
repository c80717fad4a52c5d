"""A request's bytes go in, data for the model comes out; a result goes in, an answer comes out.

Runs in the worker, with the model's own mlflow, pandas and numpy. MLflow's protocol is read and
written by mlflow itself (mlflow.pyfunc.scoring_server), so that answers and refusals are those of
`mlflow models serve`; two things differ: an exception of the model is a 500 here, where mlflow says
400; and NaN is null.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import inspect
import io
import json
from typing import Any, NamedTuple

NUMPY = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = {code.lstrip("<"): datatype for datatype, code in NUMPY.items()} | {"b1": "BOOL"}


REPEATED = 4_000
"""Characters of a refusal's message that are kept at each end."""


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """The request is bad; carries the HTTP status, the content type and the body that say why."""

    def __init__(self, status: int, content_type: str, body: str, message: str) -> None:
        super().__init__(message)
        self.status, self.content_type, self.body, self.message = (
            status,
            content_type,
            body,
            message,
        )


class Read(NamedTuple):
    """A request that was understood.

    What to ask the model, and whether the answer goes unwrapped (chat models).
    """

    data: Any
    params: Any
    unwrapped: bool


class _Parsed(BaseException):
    """Carries data out of mlflow's `invocations`, which turns every `Exception` into an answer."""


class _Reader:
    """Stands where mlflow expects a model: hands over what it was asked to predict."""

    def __init__(self, metadata: Any) -> None:
        self.metadata = metadata

    def predict(self, data: Any, params: Any = None) -> Any:
        raise _Parsed(data, params)


class Scorer:
    """One loaded pyfunc model, asked and answered in both protocols."""

    def __init__(self, model: Any) -> None:
        self.np = importlib.import_module("numpy")
        self.pd = importlib.import_module("pandas")
        self._server = importlib.import_module("mlflow.pyfunc.scoring_server")
        self._refusal = importlib.import_module("mlflow.exceptions").MlflowException
        self.model = model
        self.broken = False
        """Whether the model raised what no process should outlive, such as KeyboardInterrupt."""
        self._schema = model.metadata.get_input_schema()
        self._reader = _Reader(model.metadata)
        self._takes_params = "params" in inspect.signature(model.predict).parameters
        outputs = model.metadata.get_output_schema()
        self._names: list[str] = (
            list(outputs.input_names()) if outputs is not None and outputs.has_input_names() else []
        )

    # -- reading

    def read_invoke(self, content_type: str, body: bytes) -> Read:
        """Return what a request in MLflow's protocol asks.

        Raises Refused as `mlflow models serve` would answer.
        """
        try:
            answer = self._server.invocations(body, content_type, self._reader, self._schema)
        except _Parsed as parsed:
            data, params = parsed.args
            return Read(data, params, self._is_unwrapped(data, body))
        except self._refusal as error:
            raise self._refused(error) from error
        except Exception as error:
            message = f"The input could not be read: {type(error).__name__}: {error}"
            text = json.dumps({"error_code": "BAD_REQUEST", "message": message})
            raise Refused(400, "application/json", text, message) from error
        raise Refused(answer.status, answer.mimetype, answer.response, answer.response)

    def _is_unwrapped(self, data: Any, body: bytes) -> bool:
        """Whether the body is a chat's: the names of a model's tensors may be those of one."""
        is_chat = getattr(self._server, "is_unified_llm_input", None)
        if is_chat is None or not isinstance(data, dict) or not is_chat(data):
            return False
        return bool(is_chat(json.loads(body)))

    def read_columns(self, head: dict[str, Any], buffers: list[bytes]) -> Read:
        """Return what a request in typed columns asks.

        `form` of the head says what the model gets: a frame, one array, or a dict of arrays.
        """
        frame = head["form"] == "frame"
        arrays = [
            self._array(column, buffer, as_objects=frame)
            for column, buffer in zip(head["columns"], buffers, strict=True)
        ]
        names = head["names"]
        if head["form"] == "array":
            data = arrays[0]
        elif not frame:
            data = dict(zip(names, arrays, strict=True))
        elif len(arrays) == 1 and arrays[0].ndim == 2:
            data = self.pd.DataFrame(arrays[0], columns=names)
        elif len({array.dtype for array in arrays}) == 1:
            data = self.pd.DataFrame(self.np.column_stack(arrays), columns=names)
        else:
            data = self.pd.DataFrame(dict(enumerate(arrays)))
            if names is not None:
                data.columns = names
        return Read(data, head["params"], unwrapped=False)

    def _array(self, column: dict[str, Any], buffer: bytes, *, as_objects: bool) -> Any:
        if column["datatype"] != "BYTES":
            # A copy: what frombuffer returns cannot be written to, and a model may want to.
            flat = self.np.frombuffer(buffer, NUMPY[column["datatype"]]).copy()
            return flat.reshape(column["shape"])
        values = json.loads(buffer)
        if column.get("base64"):
            values = [_bytes(column["name"], value) for value in values]
        objects = as_objects or None in values or bool(column.get("base64"))
        return self.np.array(values, dtype=object if objects else None).reshape(column["shape"])

    # -- asking

    def predict(self, data: Any, params: Any) -> Any:
        """Return what the model returns.

        Raises Refused where mlflow finds that data or params break the signature.
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
        # The stack trace that mlflow puts into some refusals stays here: it tells strangers about
        # the machine.
        body = json.loads(error.serialize_as_json())
        body.pop("stack_trace", None)
        body["message"] = message = _readable(str(error.message))
        return Refused(error.get_http_status_code(), "application/json", json.dumps(body), message)

    def answer_invoke(self, result: Any, *, unwrapped: bool) -> str:
        """Return the body that `mlflow models serve` would answer with.

        But numbers that JSON does not know (NaN, infinity) become null; mlflow writes them, and
        what it writes then is no JSON (RFC 8259, section 6).
        """
        written = io.StringIO()
        if unwrapped:
            self._server.unwrapped_predictions_to_json(result, written)
        else:
            self._server.predictions_to_json(result, written)
        text = written.getvalue()
        if "NaN" in text or "Infinity" in text:
            return json.dumps(json.loads(text, parse_constant=lambda _: None))
        return text

    def answer_columns(self, result: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Return a result as typed columns, head and buffers.

        Named as the frame, the dict or the signature says, else output-0, output-1, ...
        """
        if isinstance(result, self.pd.DataFrame):
            parts = [(str(name), column) for name, column in result.items()]
        elif isinstance(result, dict):
            parts = [(str(name), value) for name, value in result.items()]
        else:
            several = isinstance(result, list | tuple) and bool(result)
            several = several and all(isinstance(part, self.np.ndarray) for part in result)
            values = list(result) if several else [result]
            names = self._names if len(self._names) == len(values) else []
            names = names or [f"output-{place}" for place in range(len(values))]
            parts = list(zip(names, values, strict=True))
        encoded = [(name, *self._encoded(value)) for name, value in parts]
        columns = [{"name": n, "datatype": d, "shape": list(s)} for n, d, s, _ in encoded]
        return {"columns": columns}, [buffer for *_, buffer in encoded]

    def _encoded(self, value: Any) -> tuple[str, tuple[int, ...], bytes]:
        array = value.toarray() if hasattr(value, "toarray") else self.np.asarray(value)
        if array.ndim == 0:
            array = array.reshape(1)
        if array.dtype == object:
            inferred = self.pd.Series(array.ravel()).infer_objects()
            array = inferred.to_numpy().reshape(array.shape)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype("<f8")
        datatype = DATATYPES.get(f"{array.dtype.kind}{array.dtype.itemsize}")
        if datatype is not None:
            return datatype, array.shape, array.astype(NUMPY[datatype]).tobytes()
        if array.dtype.kind == "M":
            array = self.np.datetime_as_string(array)
        texts = [self._text(element) for element in array.ravel().tolist()]
        return "BYTES", array.shape, json.dumps(texts).encode()

    def _text(self, element: Any) -> str | None:
        if isinstance(element, str):
            return element
        if isinstance(element, bytes):
            return element.decode("utf-8", "replace")
        if isinstance(element, dict | list):
            return json.dumps(element, default=str)
        return None if self.pd.isna(element) else str(element)


def _readable(message: str) -> str:
    """Return a message without the middle of the data that it repeats; the reason comes last."""
    if len(message) <= 2 * REPEATED:
        return message
    return f"{message[:REPEATED]} [cut] {message[-REPEATED:]}"


def _bytes(name: str, value: Any) -> bytes | None:
    try:
        return None if value is None else base64.b64decode(value, validate=True)
    except binascii.Error as error:
        message = f"input '{name}': expected base64 ({error})"
        raise Refused(400, "text/plain", message, message) from error
