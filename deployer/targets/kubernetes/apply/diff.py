"""Compare a live object with a manifest, or with another object, field by field.

`drift` checks that the fields that a manifest names hold its values: fields that the server
defaulted, or that others added, do not count. `difference` compares two whole objects, both ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

from deployer.plan.diff import (
    LIST_KEYS,
    FieldChange,
    Path,
    by_key,
    change,
    differing,
    embedded,
    equal,
    format_path,
    is_omitted,
)
from deployer.schema.units import parse_cpu
from deployer.targets.kubernetes.cache.objects import APPLIED, VOLATILE

_SETS: Final = frozenset({"finalizers"})
_IDENTITY: Final = frozenset({"apiVersion", "kind", "status"})
_SYSTEM: Final = VOLATILE | {"uid", "creationTimestamp", "deletionTimestamp"}
_SYSTEM_ANNOTATIONS: Final = frozenset({APPLIED, "deployment.kubernetes.io/revision"})


def drift(
    live: Mapping[str, Any], wanted: Mapping[str, Any], ignore: Sequence[str] = ()
) -> tuple[FieldChange, ...]:
    """List the fields of `wanted` that `live` does not hold.

    Args:
        live: The object as read.
        wanted: A manifest.
        ignore: Paths that do not count, with all beneath them; "*" stands for anything:
            "spec.template.spec.containers[*].resources", "metadata.labels.team".
    """
    there, asked = _bare(live), _bare(wanted)
    if _covers(there, asked):
        return ()
    found = _lacking(there, asked, ())
    return tuple(each for each in found if not _ignored(each.path, ignore))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """List every field that differs between two whole objects, except the system's own fields."""
    return tuple(differing(_bare(before), _bare(after)))


def _covers(live: Any, wanted: Any) -> bool:
    """Decide quickly, in most cases, that nothing is lacking: ten times as fast as to look for it.

    True only if `_lacking` finds nothing; where it says False, that decides.
    """
    if type(live) is not type(wanted):
        return False
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            if name not in live or not _covers(live[name], value):
                return False
        return True
    if isinstance(wanted, list):
        return len(live) == len(wanted) and all(map(_covers, live, wanted))
    return bool(live == wanted)


def _lacking(live: Any, wanted: Any, path: Path) -> Iterator[FieldChange]:
    if isinstance(wanted, Mapping):
        if not wanted and is_omitted("", live):
            return
        if not isinstance(live, Mapping):
            yield change(path, live, wanted)
            return
        for name, value in wanted.items():
            if name not in live and is_omitted(name, value):
                continue
            yield from _lacking(live.get(name), value, (*path, name))
    elif isinstance(wanted, list):
        yield from _lacking_items(live, wanted, path)
    elif not _holds(live, wanted, path):
        yield from embedded(live, wanted, path)


def _lacking_items(live: Any, wanted: list[Any], path: Path) -> Iterator[FieldChange]:
    if not wanted and is_omitted("", live):
        return
    name = path[-1] if path else ""
    if not isinstance(live, list):
        yield change(path, live, wanted)
    elif name in _SETS:
        if not all(item in live for item in wanted):
            yield change(path, live, wanted)
    elif name in LIST_KEYS:
        there = by_key(live, name)
        for key, item in by_key(wanted, name).items():
            yield from _lacking(there.get(key), item, (*path[:-1], f"{name}{key}"))
    elif len(live) == len(wanted) and all(isinstance(i, Mapping) for i in (*live, *wanted)):
        for number, (was, item) in enumerate(zip(live, wanted, strict=True)):
            yield from _lacking(was, item, (*path[:-1], f"{name}[{number}]"))
    elif len(live) != len(wanted) or any(
        next(_lacking(was, item, path), None) for was, item in zip(live, wanted, strict=True)
    ):
        yield change(path, live, wanted)


def _holds(live: Any, wanted: Any, path: Path) -> bool:
    if wanted is None or equal(live, wanted):
        return True
    if live is None:
        return bool(wanted == "")
    if path[-2:-1] in {("requests",), ("limits",)} or path[-1:] == ("sizeLimit",):
        with suppress(ValueError):
            return parse_cpu(live) == parse_cpu(wanted)
    return False


def _bare(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Copy an object without the fields that the system keeps in it."""
    bare = {name: value for name, value in obj.items() if name not in _IDENTITY}
    meta = {n: v for n, v in (obj.get("metadata") or {}).items() if n not in _SYSTEM}
    notes = meta.pop("annotations", None) or {}
    kept = {name: value for name, value in notes.items() if name not in _SYSTEM_ANNOTATIONS}
    return bare | {"metadata": meta | ({"annotations": kept} if kept else {})}


def pattern_of(pointer: str) -> str:
    """Convert a JSON pointer (RFC 6901) to a path for `drift` to ignore; a number means any item.

    "/spec/replicas" -> "spec.replicas"; "/spec/template/spec/containers/0/image" ->
    "spec.template.spec.containers[*].image".
    """
    text = ""
    for part in pointer.split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        if step == "*" or step.isdecimal():
            text += "[*]"
        else:
            text += format_path((step,)) if not text or "." in step else f".{step}"
    return text


def _ignored(path: str, patterns: Sequence[str]) -> bool:
    return any(_pattern(pattern).fullmatch(path) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")) + r"([.\[].*)?")
