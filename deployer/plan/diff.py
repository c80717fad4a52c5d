"""Compare two JSON values field by field; each difference has a readable path.

Lists whose items have a key are compared item by item, by that key and not by position; a text that
is itself JSON is compared by its fields.
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
    """A changed field with its path, old value and wanted value (None: absent)."""

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
"""Lists whose items have a key and no fixed position (`x-kubernetes-list-map-keys` in the API's
OpenAPI); every other list counts as one value, of which the fields that differ are shown."""

_KEY_DEFAULTS: Final = {"protocol": "TCP"}
_OMITTED: Final = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "readOnly", "paused", "stdin", "stdinOnce", "tty",
        "publishNotReadyAddresses", "minReadySeconds", "initialDelaySeconds", "hostPort",
    }
)  # fmt: skip
"""Fields that the API omits when they are false or zero (`omitempty` on a plain value)."""


def differing(before: Any, after: Any, path: Path = ()) -> Iterator[FieldChange]:
    """Iterate over the fields that differ; a new or removed field is one change as a whole."""
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
    elif not equal(before, after) and not (is_omitted("", before) and is_omitted("", after)):
        yield from embedded(before, after, path)


def embedded(was: Any, wanted: Any, path: Path) -> Iterator[FieldChange]:
    """Compare texts that are themselves JSON by field, such as a ConfigMap's predictor.json."""
    inner, other = document(was), document(wanted)
    if inner is None or other is None:
        yield change(path, was, wanted)
    else:
        yield from differing(inner, other, path)


def document(value: Any) -> dict[str, Any] | None:
    """Parse a text that is a JSON object; returns None for any other value."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):
            found = json.loads(value)
            return found if isinstance(found, dict) else None
    return None


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal at every depth; True does not equal 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def is_omitted(name: str, value: Any) -> bool:
    """Return whether the API may omit a field with this value."""
    return value is None or value in ("", {}, []) or (name in _OMITTED and not value)


def by_key(items: list[Any], name: str) -> dict[str, Any]:
    """Map items by their keys, written as in a path: "[name=server]".

    Every item stays: one whose key another has already, which no API allows, has its place beside.
    """
    found = {}
    for place, item in enumerate(items):
        parts = []
        for key in LIST_KEYS[name] if isinstance(item, Mapping) else ():
            value = item.get(key, _KEY_DEFAULTS.get(key))
            if value is not None:
                parts.append(f"{key}={value}")
        if f"[{','.join(parts)}]" in found:
            parts.append(str(place))
        found[f"[{','.join(parts) or place}]"] = item
    return found


def change(path: Path, was: Any, wanted: Any) -> FieldChange:
    """Build the change of the field at a path."""
    return FieldChange(format_path(path), was, wanted)


def format_path(path: Path) -> str:
    """Format a path for display; a name that contains dots is put in brackets."""
    text = ""
    for step in path:
        plain = "[" in step or "." not in step
        text += (f".{step}" if text else step) if plain else f"[{step}]"
    return text
