"""In: two JSON values. Out: the fields that differ, each with its path as people read it.

Lists whose items are known by a key are compared item by item, by that key, and not by place; a
text that is itself JSON is compared by its fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: where it is, what it was, what it is wanted to be (None: not there)."""

    path: str
    was: Any
    wanted: Any


LIST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ports": ("containerPort", "port", "protocol"),
}
"""Lists whose items are known by a key, not by their place (`x-kubernetes-list-map-keys` in the
API's OpenAPI); all others count as one value, of which the fields that differ are shown."""

_KEY_DEFAULTS: Final = {"protocol": "TCP"}
_OMITTED: Final = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "readOnly", "paused", "stdin", "stdinOnce", "tty",
        "publishNotReadyAddresses", "minReadySeconds", "initialDelaySeconds", "hostPort",
    }
)  # fmt: skip
"""Fields that the API leaves out when they are false or zero (`omitempty` on a plain value)."""


def differing(before: Any, after: Any, path: Path = ()) -> Iterator[FieldChange]:
    """Every field that differs, those that are new or gone as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from differing(before.get(name), after.get(name), (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        name = path[-1] if path else ""
        if name in LIST_KEYS:
            was, now = by_key(before, name), by_key(after, name)
            for key in {**was, **now}:
                place = (*path[:-1], f"{name}{key}")
                yield from differing(was.get(key), now.get(key), place)
        elif len(before) == len(after) and all(isinstance(i, Mapping) for i in (*before, *after)):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from differing(one, other, (*path[:-1], f"{name}[{number}]"))
        elif not equal(before, after):
            yield change(path, before, after)
    elif not equal(before, after) and not (left_out("", before) and left_out("", after)):
        yield from embedded(before, after, path)


def embedded(was: Any, wanted: Any, path: Path) -> Iterator[FieldChange]:
    """The fields of a text that is itself JSON, such as a ConfigMap's predictor.json."""
    inner, other = document(was), document(wanted)
    if inner is None or other is None:
        yield change(path, was, wanted)
    else:
        yield from differing(inner, other, path)


def document(value: Any) -> dict[str, Any] | None:
    """The JSON object that a text is; None if it is none."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):
            found = json.loads(value)
            return found if isinstance(found, dict) else None
    return None


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, all the way down; True is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def left_out(name: str, value: Any) -> bool:
    """Whether a field with this value may be missing in what the API tells."""
    return value is None or value in ("", {}, []) or (name in _OMITTED and not value)


def by_key(items: list[Any], name: str) -> dict[str, Any]:
    """Items by what tells them apart, written as in a path: "[name=server]"."""
    found = {}
    for place, item in enumerate(items):
        words = []
        for key in LIST_KEYS[name] if isinstance(item, Mapping) else ():
            value = item.get(key, _KEY_DEFAULTS.get(key))
            if value is not None:
                words.append(f"{key}={value}")
        found[f"[{','.join(words) or place}]"] = item
    return found


def change(path: Path, was: Any, wanted: Any) -> FieldChange:
    """A change of the field at these steps."""
    return FieldChange(written(path), was, wanted)


def written(path: Path) -> str:
    """A path as people read it; a name that has dots of its own stands in brackets."""
    text = ""
    for step in path:
        plain = "[" in step or "." not in step
        text += (f".{step}" if text else step) if plain else f"[{step}]"
    return text
