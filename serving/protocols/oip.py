"""Open Inference Protocol, REST: JSON goes in, typed columns come out; and the way back.

Every request is checked here by itself: names, datatypes, shapes and values against the model's
signature. https://github.com/kserve/open-inference-protocol,
specification/protocol/inference_rest.md
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from serving.protocols.answer import dumps
from serving.protocols.arrange import BadInput, Sent, arrange
from serving.telemetry.redact import MESSAGE_CHARACTERS
from serving.worker import tensors

if TYPE_CHECKING:
    from serving.protocols.signature import Side, Signature
    from serving.worker.framing import Frame


MOST_INPUTS = 1_024
"""Tensors of one request, where the signature does not have more."""
MOST_DIMENSIONS = 32
"""Of one tensor: numpy 1 takes no more (NPY_MAXDIMS), and their product takes time."""
MOST_VALUES = 2**31 - 1
"""Of one tensor, also where a dimension of 0 leaves none of them: numpy multiplies the others."""


class Question(NamedTuple):
    """A request: what goes to the worker, and what the answer has to repeat."""

    payload: bytes
    id: str | None
    outputs: list[str] | None
    """Names of the outputs asked for; None: all."""


def question(body: bytes, signature: Signature) -> Question:
    """Return what the body of an infer request asks. Raises BadInput."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadInput("the body must be a JSON object with 'inputs'")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadInput("'inputs' must be a list of at least one tensor")
    _few_and_different(inputs, signature)
    sent = [_sent(each) for each in inputs]
    head, buffers = arrange(sent, signature.inputs)
    parameters = request.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadInput("'parameters' must be a JSON object")
    params = {name: value for name, value in parameters.items() if name in signature.params}
    head["params"] = params or None
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise BadInput("'id' must be a text")
    outputs = _asked_for(request.get("outputs"))
    known = signature.outputs
    if known is not None and known.named:
        _check_outputs(outputs, [tensor.name for tensor in known.tensors])
    return Question(tensors.pack(head, buffers), identifier, outputs)


def _few_and_different(inputs: list[Any], signature: Signature) -> None:
    """Look at names and their number before anything costs time."""
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


def _asked_for(outputs: Any) -> list[str] | None:
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in outputs
    ):
        raise BadInput("'outputs' must be a list of objects with a 'name'")
    return [each["name"] for each in outputs]


def _check_outputs(asked: list[str] | None, names: list[str]) -> None:
    known = set(names)
    for name in asked or ():
        if name not in known:
            raise BadInput(f"output '{name}' is not one of the model's outputs: {', '.join(names)}")


def _sent(tensor: dict[str, Any]) -> Sent:
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
    except tensors.NotOfType as error:
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
            values = [value for each in values for value in each]
    if len(values) != prod(shape):
        expected = f"{prod(shape)} values for the shape {shape}, got {len(values)}"
        raise BadInput(f"input '{name}': expected {expected}")
    return values


def answer(
    frame: Frame, model: str, version: str, identifier: str, wanted: list[str] | None
) -> bytes:
    """Return the body that says what the worker answered.

    Raises BadInput if an output was asked for that there is not.

    Numbers that JSON does not know (NaN, infinity) become null.
    """
    head, buffers = tensors.unpack(frame.payload)
    _check_outputs(wanted, [column["name"] for column in head["columns"]])
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
    return dumps(
        {"model_name": model, "model_version": version, "id": identifier, "outputs": outputs}
    )


def metadata(model: str, version: str, platform: str, signature: Signature) -> bytes:
    """Return the body that describes the model; nothing is known without a signature."""

    def shown(side: Side | None) -> list[dict[str, Any]]:
        return [tensor.shown() for tensor in side.tensors] if side is not None else []

    return dumps(
        {
            "name": model,
            "versions": [version],
            "platform": platform,
            "inputs": shown(signature.inputs),
            "outputs": shown(signature.outputs),
        }
    )


def failure(message: str, error_id: str | None = None) -> bytes:
    """Return the protocol's error body."""
    body = {"error": message[:MESSAGE_CHARACTERS]}
    if error_id is not None:
        body["error_id"] = error_id
    return dumps(body)
