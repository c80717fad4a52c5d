"""Convert JSON to arrays as a signature asks for them, and back.

As util/json_tensor.cc of tensorflow/serving does it, with its messages and its numbers: floats in
the fewest digits that read back the same, NaN and Infinity as bare words.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import tensorflow as tf
from status import Status, invalid

WHOLE = {"int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"}
KINDS = {dict: "Object", list: "Array", str: "String", bool: "Bool", type(None): "Null"}


def request(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises Status."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except ValueError as error:
        place = getattr(error, "pos", 0)
        raise invalid(f"JSON Parse error: Invalid value. at offset: {place}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must "
            "be a string value."
        )
    return document


def inputs(document: dict[str, Any], infos: Any) -> tuple[dict[str, np.ndarray], bool]:
    """Return the arrays of a predict request, and whether it is by rows. Raises Status."""
    if "instances" in document:
        if "inputs" in document:
            raise invalid(
                f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of "
                "'inputs' or 'instances' keys to exist "
            )
        rows = document["instances"]
        if not isinstance(rows, list):
            raise invalid(
                f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array"
            )
        if not rows:
            raise invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")
        return _by_rows(rows, infos), True
    if "inputs" in document:
        return _by_columns(document["inputs"], infos), False
    raise invalid("Missing 'inputs' or 'instances' key")


def _by_rows(rows: list[Any], infos: Any) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    objects = _is_object(rows[0])
    found: dict[str, list[np.ndarray]] = {}
    for place, row in enumerate(rows):
        if objects != _is_object(row):
            expected, got = ("object", "list") if objects else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {place} of input list")
        named = row if objects else {next(iter(infos)): row}
        for name, value in named.items():
            key = f" key: {name}" if objects else ""
            try:
                if name not in infos:
                    raise invalid(f"JSON object: does not have named input: {name}")
                array = _array(value, infos[name])
                before = found.setdefault(name, [])
                if before and before[0].size != array.size:
                    raise invalid(f"Expecting tensor size: {before[0].size} but got: {array.size}")
                if before and before[0].shape != array.shape:
                    shapes = [str(list(each.shape)).replace(" ", "") for each in (before[0], array)]
                    raise invalid(f"Expecting shape {shapes[0]} but got: {shapes[1]}")
            except Status as error:
                raise invalid(
                    f"Failed to process element: {place}{key} of 'instances' list. Error: {error}"
                ) from error
            before.append(array)
        if objects and set(named) != set(infos):
            raise invalid(
                f"Failed to process element: {place} of 'instances' list. JSON object: "
                f"{_shown(row)} keys must be equal to: {','.join(sorted(infos))}"
            )
    return {name: np.stack(arrays) for name, arrays in found.items()}


def _by_columns(value: Any, infos: Any) -> dict[str, np.ndarray]:
    if not _is_object(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        name = next(iter(infos))
        return {name: _array(value, infos[name])}
    found = {}
    for name in infos:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        found[name] = _array(value[name], infos[name])
    return found


def _array(value: Any, info: Any) -> np.ndarray:
    dtype = tf.dtypes.as_dtype(info.dtype)
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    kind = object if dtype == tf.string else dtype.as_numpy_dtype
    return np.array(flat, dtype=kind).reshape(shape)


def _fill(value: Any, level: int, shape: list[int], dtype: Any, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        flat.append(_value(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for each in value:
        _fill(each, level + 1, shape, dtype, flat)


def _value(value: Any, dtype: Any) -> Any:
    if dtype == tf.string and _is_b64(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise invalid("Unable to base64 decode") from error
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        tf.float32: number,
        tf.float64: number,
        tf.string: isinstance(value, str),
        tf.bool: isinstance(value, bool),
    }.get(dtype, dtype.name in WHOLE and number and isinstance(value, int))
    if dtype not in (tf.float32, tf.float64, tf.string, tf.bool) and dtype.name not in WHOLE:
        raise Status(
            "UNIMPLEMENTED", f"Conversion of JSON Value: {_shown(value)} to type: {dtype.name}"
        )
    if not fits:
        kind = KINDS.get(type(value), "Number")
        kind = str(value) if isinstance(value, bool) else kind
        raise invalid(
            f"JSON Value: {_shown(value)} Type: {kind} is not of expected type: {_named(dtype)}"
        )
    if dtype == tf.float32 and isinstance(value, int) and abs(value) >= 2**24:
        raise invalid(f"Cannot convert JSON value: {value} to float without loss of precision.")
    return value.encode() if dtype == tf.string else value


def _named(dtype: Any) -> str:
    return {"float32": "float", "float64": "double"}.get(dtype.name, dtype.name)


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_b64(value)


def _shown(value: Any) -> str:
    return json.dumps(value, indent=4)


# -- answers


def answer(outputs: dict[str, np.ndarray], *, rows: bool) -> str:
    """Return the body that answers a predict request. Raises Status."""
    if not rows:
        texts = {name: _text(name, array) for name, array in outputs.items()}
        return f'{{\n    "outputs": {_one_or_object(texts)}\n}}'
    sizes = set()
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        sizes.add(len(array))
    if len(sizes) > 1 or 0 in sizes:
        raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)}")
    each = [
        _one_or_object({name: _text(name, array[row]) for name, array in outputs.items()})
        for row in range(sizes.pop())
    ]
    return f'{{\n    "predictions": [{", ".join(each)}]\n}}'


def _one_or_object(texts: dict[str, str]) -> str:
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}"


def _text(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return "[" + ", ".join(_text(name, each) for each in value) + "]"
    value = value.item() if isinstance(value, np.ndarray) else value
    if isinstance(value, bytes | np.bytes_):
        if name.endswith("_bytes"):
            return json.dumps({"b64": base64.b64encode(value).decode()})
        return json.dumps(bytes(value).decode("utf-8", "surrogateescape"), ensure_ascii=False)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, np.float32 | np.float64 | float):
        return _decimal(value)
    raise invalid(f"Failed to write JSON value for tensor type: {type(value).__name__}")


def _decimal(value: Any) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    kind = type(value)
    text = f"{float(value):g}"
    if kind(text) != value:
        text = f"{float(value):.{9 if kind is np.float32 else 17}g}"
    return text if "." in text or "e" in text else f"{text}.0"
