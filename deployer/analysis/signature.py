"""Check a model's JSON answer against its declared outputs.

Outputs are declared as MLflow writes them into MLmodel (mlflow.types.schema.Schema.to_dict).
Differences that JSON cannot express (32 or 64 bits, bytes or text) do not count as faults.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any


def mismatch(outputs: Sequence[Mapping[str, Any]], predictions: Any) -> str:
    """Describe the first fault of an answer, in half a sentence; "" if it has none.

    Args:
        outputs: columns {"type": "double", "name": "y", "required": true} or tensors {"type":
            "tensor", "name": "y", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}.
        predictions: the answer's "predictions": records, a record, rows, or values.
    """
    named = {str(spec["name"]): spec for spec in outputs if spec.get("name") is not None}
    if named:
        return _named_fault(named, predictions)
    if len(outputs) != 1:
        return _rows_fault(outputs, predictions)
    if outputs[0].get("type") == "tensor":
        return _tensor_fault("the answer", outputs[0], predictions)
    return _column_fault("the answer", outputs[0], _values(outputs[0], predictions))


def _named_fault(named: Mapping[str, Mapping[str, Any]], predictions: Any) -> str:
    columns = _columns(named, predictions)
    if columns is None:
        return _rows_fault(list(named.values()), predictions)
    for name, spec in named.items():
        if name in columns:
            if found := _fault_of(f"the output {name!r}", spec, columns[name]):
                return found
        elif spec.get("required", True):
            return f"the output {name!r} is missing; there is {_keys(predictions)}"
    return ""


def _columns(named: Mapping[str, Mapping[str, Any]], predictions: Any) -> Mapping[str, Any] | None:
    """Collect the values by name; None if the answer has no names.

    A required name that some record lacks is left out.
    """
    if isinstance(predictions, Mapping):  # one record, or a list for each name
        found = {name: predictions[name] for name in named if name in predictions}
        return {name: _one_or_many(named[name], value) for name, value in found.items()}
    if not _is_list(predictions):
        return None
    if all(isinstance(row, Mapping) for row in predictions):
        return {
            name: [row[name] for row in predictions if name in row]
            for name, spec in named.items()
            if not spec.get("required", True) or all(name in row for row in predictions)
        }
    if len(named) == 1 and not _is_rows(predictions):
        return dict.fromkeys(named, predictions)
    return None


def _one_or_many(spec: Mapping[str, Any], value: Any) -> Any:
    """Wrap a record's single value as a column; return a tensor or a list of values as it is."""
    if spec.get("type") == "tensor":
        return value
    one = not _is_list(value) or (spec.get("type") == "array" and _fits(spec, "array", value))
    return [value] if one else value


def _fault_of(name: str, spec: Mapping[str, Any], values: Any) -> str:
    check = _tensor_fault if spec.get("type") == "tensor" else _column_fault
    return check(name, spec, values)


def _rows_fault(outputs: Sequence[Mapping[str, Any]], predictions: Any) -> str:
    if not isinstance(predictions, list) or not _is_rows(predictions):
        return f"{len(outputs)} outputs are declared, and the answer is {_kind(predictions)}"
    for row in predictions:
        if len(row) != len(outputs):
            return f"{len(outputs)} outputs are declared, and a row of the answer has {len(row)}"
    for index, spec in enumerate(outputs):
        name = f"the output {spec.get('name', index)!r}"
        values = [row[index] for row in predictions]
        if found := _fault_of(name, spec, values):
            return found
    return ""


def _column_fault(name: str, spec: Mapping[str, Any], values: list[Any]) -> str:
    declared = str(spec.get("type", "any"))
    for value in values:
        if value is None and (not spec.get("required", True) or declared in ("float", "double")):
            continue
        if not _fits(spec, declared, value):
            return f"{name} should be {declared}, and is {_kind(value)} ({_short(value)})"
    return ""


def _tensor_fault(name: str, spec: Mapping[str, Any], value: Any) -> str:
    tensor = spec.get("tensor-spec") or {}
    declared = [int(size) for size in tensor.get("shape", [])]
    shape, scalars = _shape(value)
    if shape is None:
        return f"{name} is no tensor: its rows differ in length"
    empty = 0 in shape  # deeper dimensions of an empty list cannot be seen
    if (len(shape) != len(declared) and not empty) or any(
        size not in (-1, seen) for size, seen in zip(declared, shape, strict=False) if seen
    ):
        return f"{name} should have the shape {declared}, and has {list(shape)}"
    kind = _tensor_kind(str(tensor.get("dtype", "")))
    for scalar in scalars:
        if not (scalar is None and kind == "double") and not _fits({}, kind, scalar):
            return f"{name} should hold {tensor.get('dtype')}, and holds {_short(scalar)}"
    return ""


def _fits(spec: Mapping[str, Any], declared: str, value: Any) -> bool:
    if declared in ("float", "double"):
        return _is_number(value) or value in ("NaN", "Infinity", "-Infinity")
    if declared in ("integer", "long"):
        return _is_number(value) and float(value).is_integer()
    if declared == "boolean":
        return isinstance(value, bool)
    if declared in ("string", "binary", "datetime"):
        return isinstance(value, str)
    if declared == "array":
        items = spec.get("items") or {}
        kind = str(items.get("type", "any"))
        return isinstance(value, list) and all(_fits(items, kind, item) for item in value)
    if declared == "object":
        properties = spec.get("properties") or {}
        return isinstance(value, Mapping) and all(
            _fits(inner, str(inner.get("type", "any")), value[key])
            if key in value
            else not inner.get("required", True)
            for key, inner in properties.items()
        )
    return isinstance(value, Mapping) if declared == "map" else True


def _shape(value: Any) -> tuple[tuple[int, ...] | None, list[Any]]:
    """Return the lengths of nested lists (None where siblings differ), and all of their scalars."""
    if not isinstance(value, list):
        return (), [value]
    inner = [_shape(item) for item in value]
    if any(one[0] != other[0] or one[0] is None for one, other in pairwise(inner)):
        return None, []
    below = inner[0][0] if inner else ()
    if below is None:
        return None, []
    return (len(value), *below), [scalar for _, scalars in inner for scalar in scalars]


def _tensor_kind(dtype: str) -> str:
    if dtype.startswith(("float", "complex")):
        return "double"
    if dtype.startswith(("int", "uint")):
        return "long"
    if dtype.startswith("bool"):
        return "boolean"
    return "string" if dtype.startswith(("str", "<U", "bytes", "|S")) else "any"


def _values(spec: Mapping[str, Any], predictions: Any) -> list[Any]:
    """Read one unnamed column from values, or from records or rows with one value each."""
    if not _is_list(predictions):
        return [predictions]
    wrapped = () if spec.get("type") in ("array", "object", "map", "any") else (list, Mapping)
    if not all(isinstance(row, wrapped) and len(row) == 1 for row in predictions):
        return list(predictions)
    return [next(iter(r.values() if isinstance(r, Mapping) else r)) for r in predictions]


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_rows(predictions: list[Any]) -> bool:
    return all(isinstance(row, list) for row in predictions)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", int: "a number"}
    return names.get(type(value), "null" if value is None else "a number")


def _keys(predictions: Any) -> str:
    rows = predictions if _is_list(predictions) else [predictions]
    keys = dict.fromkeys(str(key) for row in rows for key in row)
    return ", ".join(repr(key) for key in list(keys)[:10]) or "nothing"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
