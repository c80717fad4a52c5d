"""Compare the signatures of two versions: does the new one fit those who rely on the old one?

Signatures are as MLflow writes them into MLmodel. Senders go on sending what they sent, and readers
go on reading what they read: each input that the new version needs must have been there, with a
type that fits, and each output that was there must still be. Further optional inputs and further
outputs break nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

Columns = Sequence[Mapping[str, Any]]

_WIDER: Final = ("integer", "long", "float", "double")
"""Types of numbers, each of which takes the values of those before it."""


def fault(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Describe the first way in which a version breaks what others rely on; "" if there is none.

    Args:
        before: the MLmodel of the version that they know.
        after: the MLmodel of the new version.
    """
    old, new = _signature(before), _signature(after)
    if old is None:
        return ""
    if new is None:
        return "it declares no signature, and the serving version does"
    (old_inputs, old_outputs), (new_inputs, new_outputs) = old, new
    return _missing("input", new_inputs, old_inputs, widens=True) or _missing(
        "output", old_outputs, new_outputs, widens=False
    )


def _signature(model: Mapping[str, Any]) -> tuple[Columns, Columns] | None:
    found = model.get("signature")
    if not isinstance(found, Mapping):
        return None
    inputs, outputs = (json.loads(found.get(part) or "[]") for part in ("inputs", "outputs"))
    return inputs, outputs


def _missing(kind: str, needed: Columns, there: Columns, *, widens: bool) -> str:
    """Describe the first needed column that is not there, or has a type that does not fit."""
    named = {column.get("name"): column for column in there}
    for place, column in enumerate(needed):
        name = column.get("name")
        label = f"the {kind} {name!r}" if name is not None else f"{kind} {place + 1}"
        placed = there[place] if place < len(there) else None
        other = named.get(name) if name is not None else placed
        if other is None:
            if column.get("required", True):
                what = "is new, and required" if kind == "input" else "is gone"
                return f"{label} {what}"
            continue
        new, old = (column, other) if kind == "input" else (other, column)
        if not (_fits(new, old) if widens else _fits(old, new)):
            return f"{label} is {_type(new)}, and was {_type(old)}"
    return ""


def _fits(taker: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Return whether a column takes what another one is given."""
    wanted, offered = _type(taker), _type(given)
    if wanted in _WIDER and offered in _WIDER:
        return _WIDER.index(offered) <= _WIDER.index(wanted)
    return wanted == offered


def _type(column: Mapping[str, Any]) -> str:
    if column.get("type") == "tensor":
        tensor = column.get("tensor-spec") or {}
        return f"a tensor of {tensor.get('dtype')} {list(tensor.get('shape') or ())}"
    inner = column.get("items") or column.get("properties")
    kind = str(column.get("type", "any"))
    return f"{kind} {json.dumps(inner, sort_keys=True)}" if inner else kind
