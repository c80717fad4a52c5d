"""Read requests of the Open Inference Protocol as typed columns, and build answers.

Every request is checked on its own: names, datatypes, shapes and values against the model's
signature. https://github.com/kserve/open-inference-protocol,
specification/protocol/inference_rest.md

The front reads small requests with this file, the worker large ones; it needs the standard library
only.
"""

from __future__ import annotations

import json
from itertools import chain
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from . import tensors
from .arrange import BadInput, Sent, arrange

if TYPE_CHECKING:
    from .signature import Signature

LARGE = 256 * 1024
"""Bytes from which on the worker reads a body, or writes an answer: the front's event loop would
stand still."""
MOST_INPUTS = 1_024
"""Most tensors of one request, unless the signature has more."""
MOST_DIMENSIONS = 32
"""Most dimensions of one tensor: numpy 1 takes no more (NPY_MAXDIMS), and their product takes
time."""
MOST_VALUES = 2**31 - 1
"""Most values of one tensor, also where a dimension is 0: numpy multiplies the other dimensions."""


class Question(NamedTuple):
    """A request: typed columns for the model, and the fields that the answer repeats.

    `answer` of the head repeats `id` and `outputs` (names; None: all), for the writer of the
    answer.
    """

    head: dict[str, Any]
    buffers: list[bytes]
    id: str
    outputs: list[str] | None
    seconds: float | None
    """How long the client waits (`timeout` of `parameters`, microseconds); None: no limit given."""


def loads(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        BadInput: the body is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON; null is a missing one")


def question(request: Any, signature: Signature, request_id: str) -> Question:
    """Read the JSON of an infer request; `request_id` is the id of a request without one.

    Raises:
        BadInput: the request is invalid.
    """
    if not isinstance(request, dict):
        raise BadInput("the body must be a JSON object with 'inputs'")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadInput("'inputs' must be a list of at least one tensor")
    _check_names(inputs, signature)
    sent = [_checked(each) for each in inputs]
    head, buffers = arrange(sent, signature.inputs)
    parameters = request.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadInput("'parameters' must be a JSON object")
    params = {
        name: value
        for name, value in parameters.items()
        if name in signature.params and value is not None
    }
    head["params"] = params or None
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise BadInput("'id' must be a text")
    outputs = _requested_outputs(request.get("outputs"))
    known = signature.outputs
    if known is not None and known.named:
        check_outputs(outputs, [tensor.name for tensor in known.tensors])
    head["answer"] = {"id": identifier or request_id, "outputs": outputs}
    seconds = None if "timeout" in params else _seconds(parameters.get("timeout"))
    return Question(head, buffers, identifier or request_id, outputs, seconds)


def _check_names(inputs: list[Any], signature: Signature) -> None:
    """Check the names and their number before the costly checks."""
    expected = len(signature.inputs.tensors) if signature.inputs is not None else 0
    if len(inputs) > (most := max(MOST_INPUTS, expected)):
        raise BadInput(f"'inputs' holds {len(inputs)} tensors: at most {most} are taken")
    names: set[str] = set()
    for place, tensor in enumerate(inputs):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise BadInput(f"inputs[{place}] must be an object with a 'name'")
        if tensor["name"] in names:
            raise BadInput(f"input '{tensor['name']}' was sent twice")
        names.add(tensor["name"])


def _seconds(timeout: Any) -> float | None:
    if timeout is not None and (type(timeout) is not int or timeout < 0):
        raise BadInput("'timeout' of 'parameters' must be a number of microseconds; 0 is none")
    return timeout / 1e6 if timeout else None


def _requested_outputs(outputs: Any) -> list[str] | None:
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in outputs
    ):
        raise BadInput("'outputs' must be a list of objects with a 'name'")
    return [each["name"] for each in outputs]


def check_outputs(asked: list[str] | None, names: list[str]) -> None:
    """Refuse a request for an output that the model does not have.

    Raises:
        BadInput: there is no such output.
    """
    known = set(names)
    for name in asked or ():
        if name not in known:
            raise BadInput(f"output '{name}' is not one of the model's outputs: {', '.join(names)}")


def _checked(tensor: dict[str, Any]) -> Sent:
    name, datatype = tensor["name"], tensor.get("datatype")
    if datatype not in tensors.DATATYPES:
        expected = ", ".join(tensors.DATATYPES)
        raise BadInput(f"input '{name}': datatype {str(datatype)[:80]!r} is not one of {expected}")
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        raise BadInput(f"input '{name}': 'shape' must be a list of whole numbers from 0 on")
    if len(shape) > MOST_DIMENSIONS:
        said = f"{len(shape)} dimensions: at most {MOST_DIMENSIONS} are taken"
        raise BadInput(f"input '{name}': 'shape' has {said}")
    if prod(n or 1 for n in shape) > MOST_VALUES:
        raise BadInput(f"input '{name}': the shape {shape} is larger than a tensor can be")
    if "data" not in tensor:
        raise BadInput(f"input '{name}' has no 'data' (binary tensors are not supported)")
    values = _flat(name, tensor["data"], shape)
    try:
        return Sent(name, datatype, shape, tensors.encode(datatype, values))
    except tensors.WrongDatatype as error:
        raise BadInput(f"input '{name}': {error}") from error


def _flat(name: str, data: Any, shape: list[int]) -> list[Any]:
    if not isinstance(data, list):
        raise BadInput(f"input '{name}': 'data' must be a list")
    values = data
    if data and isinstance(data[0], list):
        for depth, length in enumerate(shape):
            if len(values) != prod(shape[: depth + 1]):
                raise BadInput(f"input '{name}': 'data' does not have the shape {shape}")
            if depth == len(shape) - 1:
                return values
            if not all(isinstance(each, list) and len(each) == shape[depth + 1] for each in values):
                expected = f"{shape[depth + 1]} values in each of {length}"
                raise BadInput(f"input '{name}': expected {expected} for the shape {shape}")
            values = list(chain.from_iterable(values))
    if len(values) != prod(shape):
        expected = f"{prod(shape)} values for the shape {shape}, got {len(values)}"
        raise BadInput(f"input '{name}': expected {expected}")
    return values


def answer(
    head: dict[str, Any], buffers: list[bytes], model: str, version: str, about: dict[str, Any]
) -> dict[str, Any]:
    """Build the answer from typed columns; NaN stays NaN.

    `about` is `answer` of the question's head.

    Raises:
        BadInput: the request asks for an output that does not exist.
    """
    wanted = about["outputs"]
    check_outputs(wanted, [column["name"] for column in head["columns"]])
    outputs = [
        {
            "name": column["name"],
            "datatype": column["datatype"],
            "shape": column["shape"],
            "data": tensors.decode(column["datatype"], buffer),
        }
        for column, buffer in zip(head["columns"], buffers, strict=True)
        if wanted is None or column["name"] in wanted
    ]
    return {"model_name": model, "model_version": version, "id": about["id"], "outputs": outputs}


def dumps(content: dict[str, Any]) -> bytes:
    """Return an answer as JSON; numbers that JSON cannot express (NaN, infinity) become null."""
    for output in content["outputs"]:
        if output["datatype"].startswith("FP") and not all(map(isfinite, output["data"])):
            output["data"] = [value if isfinite(value) else None for value in output["data"]]
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
