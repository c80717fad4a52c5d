"""Replace values that a chart only writes down, so that one rendering serves many predictors.

Pure. The predictors of many models differ mostly in names, digests and addresses. A chart lists
the values that it writes down as they are, quoted, in the annotation `ANNOTATION` of its
Chart.yaml, and computes nothing from them. A rendering with placeholders in their place is then
that of every predictor: `fill` puts the values in.

A placeholder has the form of the value that it replaces, a DNS label or another text. A text with
a character that JSON or YAML would escape stays in place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

ANNOTATION: Final = "schnitzel.dev/written-as-is"
"""Annotation of a chart: paths with commas between, such as "Release.Name, Values.artifact.uri"."""

_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
_TEXT: Final = re.compile(r"([a-z0-9-]+:(?=/))?([A-Za-z0-9._/:@+-]+)")
"""A text, and before it the scheme of an address, which charts may look at."""

_LABEL_PLACEHOLDER: Final = "x7d3f1c90b5-{}x"
_TEXT_PLACEHOLDER: Final = "X7D3F1C90B5/{}X"
_PLACEHOLDER: Final = re.compile(rb"x7d3f1c90b5-(\d+)x|X7D3F1C90B5/(\d+)X")


def paths_of(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """List the paths that a chart's annotations name; none if it has no such annotation."""
    return tuple(path.strip() for path in annotations.get(ANNOTATION, "").split(",") if path)


def blank(tree: Mapping[str, Any], paths: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Replace the texts at these paths by placeholders.

    Args:
        tree: Nested mappings, which stay as they are.
        paths: Names with dots between.

    Returns:
        A copy with placeholders, and what each stands for, in the order of their numbers.
    """
    found: list[str] = []
    blanked = dict(tree)
    for path in paths:
        *outer, last = path.split(".")
        holder = blanked
        for name in outer:
            inner = holder.get(name)
            holder[name] = holder = dict(inner) if isinstance(inner, Mapping) else {}
        if isinstance(text := holder.get(last), str):
            holder[last] = _placeholder(text, found)
    return blanked, found


def fill(rendered: bytes, found: Sequence[str]) -> bytes:
    """Put what the placeholders stand for into a rendering, JSON or JSON within JSON."""
    if not found:
        return rendered
    texts = [text.encode() for text in found]
    return _PLACEHOLDER.sub(lambda place: texts[int(place[1] or place[2])], rendered)


def count(text: bytes) -> int:
    """Count the placeholders in a text."""
    return sum(1 for _ in _PLACEHOLDER.finditer(text))


def _placeholder(text: str, found: list[str]) -> str:
    if _LABEL.fullmatch(text):
        found.append(text)
        return _LABEL_PLACEHOLDER.format(len(found) - 1)
    if match := _TEXT.fullmatch(text):
        found.append(match[2])
        return (match[1] or "") + _TEXT_PLACEHOLDER.format(len(found) - 1)
    return text
