"""Translate both protocols to TensorFlow Serving's JSON, and its answers back.

https://www.tensorflow.org/tfx/serving/api_rest, and tensorflow_serving/util/json_tensor.cc of
tensorflow/serving, which defines its JSON: NaN, Infinity and -Infinity are allowed.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from serving.worker import framing
from serving.worker.oip import infer, tensors
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import Side, Signature, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.worker.framing import Payload

DEFAULT = "serving_default"
"""The signature of a request that names none."""
PLATFORM = "tensorflow_savedmodel"
# TensorFlow Serving has no JSON for half, 16-bit unsigned, complex and quantized numbers.
DATATYPES = {
    "DT_BOOL": "BOOL",
    "DT_INT8": "INT8",
    "DT_INT16": "INT16",
    "DT_INT32": "INT32",
    "DT_INT64": "INT64",
    "DT_UINT8": "UINT8",
    "DT_UINT32": "UINT32",
    "DT_UINT64": "UINT64",
    "DT_FLOAT": "FP32",
    "DT_DOUBLE": "FP64",
    "DT_STRING": "BYTES",
}

_OUTPUTS = re.compile(rb'\A(\s*{\s*)"outputs"')
"""The only field of an answer to `inputs`; a field of a row may have that name, too."""


class Unreadable(Exception):  # noqa: N818 - named for what is wrong
    """TensorFlow Serving's answer is not as its documentation says."""


def signature(metadata: bytes) -> Signature:
    """Read the default signature from /v1/models/NAME/metadata; its sides are None without one.

    Raises:
        Unreadable: the metadata is malformed.
    """
    try:
        every = _parsed(metadata)["metadata"]["signature_def"]["signature_def"]
        found = every.get(DEFAULT)
        if found is None:
            return Signature(None, None, frozenset())
        return Signature(
            _side(found.get("inputs", {})), _side(found.get("outputs", {})), frozenset()
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"its metadata cannot be read: {error!r}") from error


def _side(described: dict[str, Any]) -> Side | None:
    named = [_tensor(name, described[name]) for name in sorted(described)]
    # A single tensor may have any name in a request, as with an MLflow model whose tensor has none.
    return Side(tuple(named), columns=False, named=len(named) > 1) if named else None


def _tensor(name: str, info: dict[str, Any]) -> Tensor:
    kind, shape = str(info["dtype"]), info.get("tensor_shape") or {}
    sizes = tuple(int(each["size"]) for each in shape.get("dim") or ())
    unsupported = "" if kind in DATATYPES else kind
    if shape.get("unknown_rank"):
        unsupported = f"{kind} of any rank"
    elif not sizes:
        unsupported = f"{kind} without a dimension"
    binary = kind == "DT_STRING" and name.endswith("_bytes")
    return Tensor(name, DATATYPES.get(kind, "BYTES"), sizes, base64=binary, unsupported=unsupported)


# -- Open Inference Protocol


def infer_question(
    payload: Payload, signature: Signature
) -> tuple[bytes, dict[str, Any], float | None]:
    """Return the body for :predict of an INFER frame, the answer's fields, and the time limit.

    The fields are those of the question that the answer repeats; the limit is in seconds, None if
    the request sets none.

    Raises:
        BadInput: the request is invalid.
    """
    request_id, body = framing.unpack_invoke(b"".join(payload))
    asked = infer.question(infer.loads(body), signature, request_id)
    assert signature.inputs is not None  # noqa: S101 - the caller looked
    body = infer_body(asked.head, asked.buffers, signature.inputs)
    return body, asked.head["answer"], asked.seconds


def infer_body(head: dict[str, Any], buffers: list[bytes], inputs: Side) -> bytes:
    """Return the body for :predict that sends typed columns."""
    by_name = {tensor.name: tensor for tensor in inputs.tensors}
    names = head["names"] or [inputs.tensors[0].name]
    finite, columns = True, {}
    for name, column, buffer in zip(names, head["columns"], buffers, strict=True):
        values = tensors.decode(column["datatype"], buffer)
        if column["datatype"].startswith("FP"):
            finite = finite and math.isfinite(sum(values))
        if by_name[name].base64:
            values = [{"b64": value} for value in values]
        columns[name] = _nested(values, column["shape"])
    return _dumped({"inputs": columns}, finite=finite)


def _nested(values: list[Any], shape: list[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def infer_answer(
    body: bytes, outputs: Side, model: str, version: str, about: dict[str, Any]
) -> bytes:
    """Build the whole answer from the answer of :predict.

    Raises:
        Unreadable: the answer of :predict is malformed.
        BadInput: the request asks for an output that does not exist.
    """
    head, buffers = infer_result(body, outputs)
    return infer.dumps(infer.answer(head, buffers, model, version, about))


def infer_result(body: bytes, outputs: Side) -> tuple[dict[str, Any], list[bytes]]:
    """Return the answer of :predict as typed columns.

    Raises:
        Unreadable: the answer is malformed.
    """
    try:
        answered = _parsed(body)["outputs"]
        single = len(outputs.tensors) == 1
        by_name = {outputs.tensors[0].name: answered} if single else answered
        columns, buffers = [], []
        for tensor in outputs.tensors:
            values, shape = _flat(by_name[tensor.name])
            if tensor.datatype == "BYTES":
                values = [value["b64"] if isinstance(value, dict) else value for value in values]
            buffers.append(tensors.encode(tensor.datatype, values))
            columns.append({"name": tensor.name, "datatype": tensor.datatype, "shape": shape})
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"its answer cannot be read: {error!r}") from error
    return {"columns": columns}, buffers


def _flat(nested: Any) -> tuple[list[Any], list[int]]:
    """Return the values of nested lists, and their shape; a single value has the shape [1]."""
    if not isinstance(nested, list):
        return [nested], [1]
    values, shape = nested, [len(nested)]
    while values and isinstance(values[0], list):
        shape.append(len(values[0]))
        values = [value for each in values for value in each]
    return values, shape


# -- MLflow's scoring protocol


def invocation_body(content_type: bytes, body: bytes, inputs: Side | None) -> bytes:
    """Return the body for :predict of a request to /invocations.

    `instances` and `inputs` are TensorFlow Serving's own fields, too: such a body is passed on as
    it is.

    Raises:
        BadInput: the request is invalid.
    """
    if content_type.split(b";")[0].strip().lower() != b"application/json":
        raise BadInput("only application/json is taken where TensorFlow Serving has the model")
    try:
        request = _parsed(body)
    except ValueError as error:
        raise BadInput(f"the body is not JSON: {error}") from error
    forms = ("dataframe_split", "dataframe_records", "instances", "inputs")
    given = [form for form in forms if isinstance(request, dict) and form in request]
    if len(given) != 1:
        raise BadInput(f"the body must be a JSON object with exactly one of {', '.join(forms)}")
    form = given[0]
    if form in ("instances", "inputs"):
        return body
    names, rows = (_split if form == "dataframe_split" else _records)(request[form])
    if inputs is None:
        raise BadInput(f"the model has no signature '{DEFAULT}': send 'instances' or 'inputs'")
    return _dumped({"inputs": _columns(names, rows, inputs)}, finite=False)


def _split(frame: Any) -> tuple[list[str], list[list[Any]]]:
    rows = frame.get("data") if isinstance(frame, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise BadInput("'dataframe_split' must have 'data', a list of at least one row")
    names = frame.get("columns") or list(range(len(rows[0])))
    if not isinstance(names, list) or any(len(row) != len(names) for row in rows):
        raise BadInput("'dataframe_split': each row must have a value for each of 'columns'")
    return [str(name) for name in names], rows


def _records(records: Any) -> tuple[list[str], list[list[Any]]]:
    if not isinstance(records, list) or not records or not isinstance(records[0], dict):
        raise BadInput("'dataframe_records' must be a list of at least one object")
    names = list(records[0])
    try:
        return names, [[record[name] for name in names] for record in records]
    except (KeyError, TypeError) as error:
        raise BadInput("'dataframe_records': each must have the fields of the first") from error


def _columns(names: list[str], rows: list[list[Any]], inputs: Side) -> dict[str, Any]:
    """Return a tensor for each input: the column of its name, or the frame for a single input."""
    only = inputs.tensors[0] if len(inputs.tensors) == 1 else None
    if only is not None and (only.name not in names or len(names) > 1):
        if len(only.shape) > 1 or len(names) > 1:
            return {only.name: [_numbers(row, only) for row in rows]}
        return {only.name: _numbers([row[0] for row in rows], only)}
    found = {}
    for tensor in inputs.tensors:
        if tensor.name not in names:
            raise BadInput(f"column '{tensor.name}' is missing: expected {tensor.wanted()}")
        place = names.index(tensor.name)
        values = _numbers((row[place] for row in rows), tensor)
        if len(tensor.shape) == 2:
            values = [value if isinstance(value, list) else [value] for value in values]
        found[tensor.name] = values
    return found


def _numbers(values: Iterable[Any], tensor: Tensor) -> list[Any]:
    """Return values as they are, but missing numbers as NaN, as pandas holds them."""
    if not tensor.datatype.startswith("FP"):
        return list(values)
    return [math.nan if value is None else value for value in values]


def predictions(body: bytes) -> bytes:
    """Return the answer of :predict with MLflow's field `predictions`, for both forms."""
    return _OUTPUTS.sub(rb'\1"predictions"', body)


# -- both


def error_message(body: bytes) -> str:
    """Return the message of an error, in one line of at most 500 characters.

    TensorFlow Serving escapes the message as C does, which is not always valid JSON.
    """
    message = body.decode("utf-8", "replace")
    with suppress(ValueError, KeyError, TypeError):
        message = str(_parsed(body)["error"])
    if message.lstrip().startswith("{"):
        message = message.partition('"error"')[2].partition('"')[2].rpartition('"')[0] or message
        message = message.replace("\\'", "'").replace('\\"', '"').replace("\\n", " ")
    return " ".join(message.split())[:500]


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)  # accepts NaN and Infinity


def _dumped(content: dict[str, Any], *, finite: bool) -> bytes:
    return orjson.dumps(content) if finite else json.dumps(content).encode()
