"""In: an object as it is and as it is wanted. Out: the fields that differ, with secrets masked.

`drift` asks whether the fields that a manifest names hold its values: what the server filled in,
and what others added, does not count. `difference` compares two whole objects, both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import orjson

from deployer.targets.kubernetes.objects import APPLIED, VOLATILE
from deployer.units import parse_cpu

ABSENT: Final = None
"""What a change names where there is nothing."""

MASK: Final = "(secret)"

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One field: where it is, what it was, what it is wanted to be (None: not there)."""

    path: str
    was: Any
    wanted: Any


_LIST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
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
API's OpenAPI); all others are one value."""

_KEY_DEFAULTS: Final = {"protocol": "TCP"}
_SETS: Final = frozenset({"finalizers"})
_OMITTED: Final = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "readOnly", "paused", "stdin", "stdinOnce", "tty",
        "publishNotReadyAddresses", "minReadySeconds", "initialDelaySeconds", "hostPort",
    }
)  # fmt: skip
"""Fields that the API leaves out when they are false or zero (`omitempty` on a plain value)."""

_IDENTITY: Final = frozenset({"apiVersion", "kind", "status"})
_SYSTEM: Final = VOLATILE | {"uid", "creationTimestamp", "deletionTimestamp"}
_SYSTEM_ANNOTATIONS: Final = frozenset({APPLIED, "deployment.kubernetes.io/revision"})
_SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|passw|credential|api_?key|access_?key|private_?key|authorization|\bdsn\b"
)
_NAMES_ONLY: Final = re.compile(
    r"(?i)(secret_?names?|secretkeyref|imagepullsecrets|automountserviceaccounttoken|secret)$"
)
_USER_INFO: Final = re.compile(r"([a-zA-Z][\w+.-]*://)[^\s/@'\"]+@")


def drift(
    live: Mapping[str, Any], wanted: Mapping[str, Any], ignore: Sequence[str] = ()
) -> tuple[Change, ...]:
    """The fields of `wanted` that `live` does not hold.

    Args:
        live: the object as read.
        wanted: a manifest.
        ignore: paths that do not count, with all beneath them; "*" stands for anything:
            "spec.template.spec.containers[*].resources", "metadata.labels.team".
    """
    found = _lacking(_bare(live), _bare(wanted), ())
    return tuple(change for change in found if not _ignored(change.path, ignore))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every field that differs between two whole objects, but for what the system keeps there."""
    return tuple(_differing(_bare(before), _bare(after), ()))


def masked(change: Change, kind: str = "") -> Change:
    """The same change, fit to be shown: nothing that looks like a secret is in it."""
    steps = tuple(re.findall(r"\[[^\]]*\]|[^.\[\]]+", change.path))
    secret = kind == "Secret" and steps[:1] in {("data",), ("stringData",)}
    return replace(
        change, was=_mask(change.was, steps, secret), wanted=_mask(change.wanted, steps, secret)
    )


def _lacking(live: Any, wanted: Any, path: Path) -> Iterator[Change]:
    if isinstance(wanted, Mapping):
        if not wanted and _left_out("", live):
            return
        if not isinstance(live, Mapping):
            yield _change(path, live, wanted)
            return
        for name, value in wanted.items():
            if name not in live and _left_out(name, value):
                continue
            yield from _lacking(live.get(name), value, (*path, name))
    elif isinstance(wanted, list):
        yield from _lacking_items(live, wanted, path)
    elif not _holds(live, wanted, path):
        yield from _embedded(live, wanted, path)


def _lacking_items(live: Any, wanted: list[Any], path: Path) -> Iterator[Change]:
    if not wanted and _left_out("", live):
        return
    name = path[-1] if path else ""
    if not isinstance(live, list):
        yield _change(path, live, wanted)
    elif name in _SETS:
        if not all(item in live for item in wanted):
            yield _change(path, live, wanted)
    elif name in _LIST_KEYS:
        there = _by_key(live, name)
        for key, item in _by_key(wanted, name).items():
            yield from _lacking(there.get(key), item, (*path[:-1], f"{name}{key}"))
    elif len(live) != len(wanted) or any(
        next(_lacking(was, item, path), None) for was, item in zip(live, wanted, strict=True)
    ):
        yield _change(path, live, wanted)


def _differing(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _differing(before.get(name), after.get(name), (*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        name = path[-1] if path else ""
        if name in _LIST_KEYS:
            was, now = _by_key(before, name), _by_key(after, name)
            for key in {**was, **now}:
                place = (*path[:-1], f"{name}{key}")
                yield from _differing(was.get(key), now.get(key), place)
        elif before != after:
            yield _change(path, before, after)
    elif not _equal(before, after) and not (_left_out("", before) and _left_out("", after)):
        yield from _embedded(before, after, path)


def _embedded(was: Any, wanted: Any, path: Path) -> Iterator[Change]:
    """The fields of a text that is itself JSON, such as a ConfigMap's predictor.json."""
    inner, other = _document(was), _document(wanted)
    if inner is None or other is None:
        yield _change(path, was, wanted)
    else:
        yield from _differing(inner, other, path)


def _document(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(orjson.JSONDecodeError):
            found = orjson.loads(value)
            return found if isinstance(found, dict) else None
    return None


def _holds(live: Any, wanted: Any, path: Path) -> bool:
    if wanted is None or _equal(live, wanted):
        return True
    if live is None:
        return bool(wanted == "")
    if path[-2:-1] in {("requests",), ("limits",)} or path[-1:] == ("sizeLimit",):
        with suppress(ValueError):
            return parse_cpu(live) == parse_cpu(wanted)
    return False


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _left_out(name: str, value: Any) -> bool:
    """Whether a field with this value may be missing in what the server tells."""
    return value is None or value in ("", {}, []) or (name in _OMITTED and not value)


def _by_key(items: list[Any], name: str) -> dict[str, Any]:
    """Items by what tells them apart, written as in a path: "[name=server]"."""
    found = {}
    for place, item in enumerate(items):
        words = []
        for key in _LIST_KEYS[name] if isinstance(item, Mapping) else ():
            value = item.get(key, _KEY_DEFAULTS.get(key))
            if value is not None:
                words.append(f"{key}={value}")
        found[f"[{','.join(words) or place}]"] = item
    return found


def _bare(obj: Mapping[str, Any]) -> dict[str, Any]:
    """An object without what the system keeps in it."""
    bare = {name: value for name, value in obj.items() if name not in _IDENTITY}
    meta = {n: v for n, v in (obj.get("metadata") or {}).items() if n not in _SYSTEM}
    notes = meta.pop("annotations", None) or {}
    kept = {name: value for name, value in notes.items() if name not in _SYSTEM_ANNOTATIONS}
    return bare | {"metadata": meta | ({"annotations": kept} if kept else {})}


def _change(path: Path, was: Any, wanted: Any) -> Change:
    return Change(_text(path), was, wanted)


def _text(path: Path) -> str:
    """A path as people read it; a name that has dots of its own stands in brackets."""
    text = ""
    for step in path:
        plain = "[" in step or "." not in step
        text += (f".{step}" if text else step) if plain else f"[{step}]"
    return text


def pattern_of(pointer: str) -> str:
    """A JSON pointer (RFC 6901) as `drift` takes a path to ignore: any item where it has a number.

    "/spec/replicas" -> "spec.replicas"; "/spec/template/spec/containers/0/image" ->
    "spec.template.spec.containers[*].image".
    """
    text = ""
    for part in pointer.split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        if step == "*" or step.isdecimal():
            text += "[*]"
        else:
            text += _text((step,)) if not text or "." in step else f".{step}"
    return text


def _ignored(path: str, patterns: Sequence[str]) -> bool:
    return any(_pattern(pattern).fullmatch(path) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")) + r"([.\[].*)?")


def _mask(value: Any, steps: Path, secret: bool) -> Any:
    if isinstance(value, Mapping):
        named = value.get("name")
        inner = bool(isinstance(named, str) and "value" in value and _SECRET_NAME.search(named))
        return {
            name: _mask(item, (*steps, str(name)), secret or (inner and name == "value"))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_mask(item, steps, secret) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if secret or _names_a_secret(steps):
        return MASK
    return _USER_INFO.sub(r"\1(secret)@", value) if isinstance(value, str) else value


def _names_a_secret(steps: Path) -> bool:
    """Whether the last steps of a path say that the value is a secret, and not only its name."""
    if not steps:
        return False
    leaf = steps[-1].strip("[]")
    if leaf == "value" and len(steps) > 1 and steps[-2].startswith("[name="):
        return bool(_SECRET_NAME.search(steps[-2]))
    above = steps[-2] if len(steps) > 1 else ""
    if _NAMES_ONLY.search(leaf) or _NAMES_ONLY.search(above):
        return False
    return bool(_SECRET_NAME.search(leaf))
