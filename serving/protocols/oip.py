"""Open Inference Protocol, REST: a JSON body goes in, typed columns for the worker come out; and the way back.

Every request is checked here by itself: names, datatypes, shapes and values against the model's signature.
https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from serving import tensors

if TYPE_CHECKING:
    from serving.protocols.signature import Side, Signature, Tensor


class BadInput(ValueError):  # noqa: N818 - it is an answer: a 400
    """The request cannot be understood; the message names the tensor and what was expected."""


class Sent(NamedTuple):
    """One tensor of a request, checked by itself."""

    name: str
    datatype: str
    shape: list[int]
    buffer: bytes


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
    sent = [_sent(each, place) for place, each in enumerate(inputs)]
    names = [each.name for each in sent]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"input '{name}' was sent twice")
    head, buffers = _arranged(sent, signature.inputs)
    parameters = request.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadInput("'parameters' must be a JSON object")
    params = {name: value for name, value in parameters.items() if name in signature.params}
    head["params"] = params or None
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise BadInput("'id' must be a text")
    return Question(tensors.pack(head, buffers), identifier, _asked_for(request.get("outputs")))


def _asked_for(outputs: Any) -> list[str] | None:
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in outputs
    ):
        raise BadInput("'outputs' must be a list of objects with a 'name'")
    return [each["name"] for each in outputs]


def _sent(tensor: Any, place: int) -> Sent:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise BadInput(f"inputs[{place}] must be an object with a 'name'")
    name, datatype = tensor["name"], tensor.get("datatype")
    if datatype not in tensors.DATATYPES:
        expected = ", ".join(tensors.DATATYPES)
        raise BadInput(f"input '{name}': datatype {datatype!r} is not one of {expected}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n > 0 for n in shape):
        raise BadInput(f"input '{name}': 'shape' must be a list of positive whole numbers")
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


# -- what the model gets


def _head(form: str, names: list[str] | None, sent: list[Sent], encoded: set[str]) -> Any:
    columns = [
        {"name": s.name, "datatype": s.datatype, "shape": s.shape, "base64": s.name in encoded}
        for s in sent
    ]
    return {"form": form, "names": names, "columns": columns}, [each.buffer for each in sent]


def _arranged(sent: list[Sent], inputs: Side | None) -> tuple[dict[str, Any], list[bytes]]:
    """Return head and buffers in the order and form that the model's signature asks for."""
    arranged: tuple[dict[str, Any], list[bytes]]
    if inputs is None:
        flat = all(len(each.shape) == 1 or each.shape[1:] == [1] for each in sent)
        form = "array" if len(sent) == 1 else "frame" if flat else "dict"
        arranged = _head(form, [each.name for each in sent], _level(sent) if form == "frame" else sent, set())
        return arranged
    for tensor in inputs.tensors:
        if tensor.unsupported:
            raise BadInput(
                f"input '{tensor.name}' is of type {tensor.unsupported}, which this protocol cannot carry: use /invocations"
            )
    if inputs.columns:
        return _as_columns(sent, inputs)
    if not inputs.named:
        if len(sent) != 1:
            raise BadInput(f"expected one tensor, {inputs.tensors[0].wanted()}, got {len(sent)}")
        _check(sent[0], inputs.tensors[0], widened=False)
        arranged = _head("array", None, sent, set())
        return arranged
    matched = _matched(sent, inputs.tensors)
    for each, tensor in matched:
        _check(each, tensor, widened=False)
    chosen = [each for each, _ in matched]
    arranged = _head("dict", [each.name for each in chosen], chosen, set())
    return arranged


def _as_columns(sent: list[Sent], inputs: Side) -> tuple[dict[str, Any], list[bytes]]:
    names = [tensor.name for tensor in inputs.tensors]
    arranged: tuple[dict[str, Any], list[bytes]]
    if len(sent) == 1 and len(sent[0].shape) == 2 and (len(names) > 1 or sent[0].name not in names):  # noqa: PLR2004
        whole = sent[0]
        if whole.shape[1] != len(names):
            raise BadInput(
                f"input '{whole.name}': expected {len(names)} columns ({', '.join(names)}), got {whole.shape[1]}"
            )
        for tensor in inputs.tensors:
            if not tensor.takes(whole.datatype, widened=True) or tensor.base64:
                raise BadInput(
                    f"column '{tensor.name}': expected {tensor.datatype}, got {whole.datatype}"
                )
        arranged = _head("frame", names if inputs.named else None, sent, set())
        return arranged
    matched = _matched(sent, inputs.tensors)
    for each, tensor in matched:
        _check(each, tensor, widened=True)
    chosen = _level([each for each, _ in matched])
    encoded = {tensor.name for _, tensor in matched if tensor.base64}
    shown = [each.name for each in chosen] if inputs.named else None
    arranged = _head("frame", shown, chosen, encoded)
    return arranged


def _level(sent: list[Sent]) -> list[Sent]:
    """Return columns of one length, each of one dimension."""
    rows = sent[0].shape[0]
    for each in sent:
        if each.shape[0] != rows:
            raise BadInput(
                f"input '{each.name}' has {each.shape[0]} rows, but '{sent[0].name}' has {rows}"
            )
    return [each._replace(shape=[rows]) for each in sent]


def _matched(sent: list[Sent], expected: tuple[Tensor, ...]) -> list[tuple[Sent, Tensor]]:
    """Return (sent, expected) in the signature's order. Raises BadInput for what is missing, or not known."""
    by_name = {each.name: each for each in sent}
    known = {tensor.name for tensor in expected}
    for tensor in expected:
        if tensor.required and tensor.name not in by_name:
            raise BadInput(f"input '{tensor.name}' is missing: expected {tensor.wanted()}")
    for name in by_name:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise BadInput(f"input '{name}' is not one of the model's inputs: {listed}")
    return [(by_name[t.name], t) for t in expected if t.name in by_name]


def _check(sent: Sent, tensor: Tensor, *, widened: bool) -> None:
    if not tensor.takes(sent.datatype, widened=widened):
        raise BadInput(f"input '{sent.name}': expected {tensor.datatype}, got {sent.datatype}")
    shape = sent.shape
    if widened and len(shape) == 1:
        return
    fits = len(shape) == len(tensor.shape) and all(
        want in (-1, have) for have, want in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        raise BadInput(f"input '{sent.name}': expected shape {list(tensor.shape)}, got {shape}")
