"""Requests that are nearly valid: valid ones, changed by a seeded chance in places and bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from support.attacks.corpus import ACT, NUMBER
from support.attacks.wire import request


class Fuzzed(NamedTuple):
    """One request, and its body."""

    sends: bytes
    body: bytes


FRAME = {"columns": ["act", "number"], "data": [["x", 1.5], ["y", None]]}
RECORD = {"act": "x", "number": 1}
JSON, CSV = b"application/json", b"text/csv"
INFER, INVOKE = b"/v2/models/actor/infer", b"/invocations"
VALID: list[tuple[bytes, bytes, Any]] = [
    (INFER, JSON, {"id": "1", "inputs": [ACT, NUMBER], "outputs": [{"name": "said"}]}),
    (INFER, JSON, {"inputs": [ACT, NUMBER], "parameters": {"factor": 2.0}}),
    (INVOKE, JSON, {"dataframe_split": FRAME}),
    (INVOKE, JSON, {"dataframe_split": {**FRAME, "index": [0, 1]}, "params": {"factor": 2.0}}),
    (INVOKE, JSON, {"dataframe_records": [RECORD, RECORD]}),
    (INVOKE, JSON, {"inputs": {"act": ["x", "y"], "number": [1, 2]}}),
    (INVOKE, JSON, {"instances": [RECORD, RECORD]}),
    (INVOKE, JSON, {"instances": {"act": ["x"], "number": [1]}, "params": {"factor": 2}}),
    (INVOKE, CSV, b"act,number\nx,1.5\ny,2\n"),
    (INVOKE, CSV, b'act,number\n"x, ""y""",-1e3\n'),
]
ODD = (
    None, True, False, 0, -1, 1, 255, 2**31, 2**53 + 1, 2**63, 2**64, -(10**40), 0.1, -0.0, 1e308,
    5e-324, float("nan"), float("inf"), "", "x", "1.5", "nan", "\0", "\ud800", "\U0001f600", "é",
    "raise", [], {}, [[]], [[[[1]]]], [None], ["x", 1], {"a": {"a": 1}}, {"name": "act"},
    [0, 2**62], [1] * 70, "FP16", "BOOL", "INT64", "act", "number", "inputs", "dataframe_split",
)  # fmt: skip
BYTES = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b",", b":", b'"',
    b"\\", b"\\ud800", b"NaN", b"1e400", b"-", b"9" * 400, b"\n", b"\r", b"\r\n", b" ", b"null",
    b"[" * 99,
)  # fmt: skip


def fuzzed(seed: str) -> Iterator[Fuzzed]:
    """Return requests to the model "actor", without an end; a seed gives the same again."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    while True:
        path, kind, valid = chance.choice(VALID)
        if isinstance(valid, bytes):
            body = valid
        else:
            changed = copy.deepcopy(valid)
            for _ in range(chance.choice((0, 1, 1, 1, 2, 4))):
                changed = _changed(changed, chance)
            body = json.dumps(changed, ensure_ascii=chance.random() < 0.7).encode(
                "utf-8", "replace"
            )
        for _ in range(chance.choice((1, 2, 4) if valid is body else (0, 0, 0, 1, 3))):
            body = _bytes_changed(body, chance)
        if chance.random() < 0.02:
            kind = chance.choice(
                (JSON, CSV, b"", b"text/plain", JSON + b"; charset=utf-16", b"\xff")
            )
        yield Fuzzed(request(path, body, kind), body)


def _changed(content: Any, chance: random.Random) -> Any:
    """Change one place: another value, none, one more, or under another key."""
    places = [place for place in _places(content) if place]
    if not places:
        return chance.choice(ODD)
    *way, last = chance.choice(places)
    inside = content
    for key in way:
        inside = inside[key]
    match chance.choice(("replace", "replace", "drop", "more", "move")):
        case "replace":
            inside[last] = copy.deepcopy(chance.choice(ODD))
        case "drop":
            del inside[last]
        case "more" if isinstance(inside, list):
            inside[last:last] = [copy.deepcopy(inside[last])] * chance.choice((1, 2, 50))
        case _:
            key = chance.choice(("", "name", "data", "shape", "columns", "\ud800", "act", "x" * 99))
            moved = copy.deepcopy(inside[last])
            if isinstance(inside, dict):
                inside[key] = moved
            else:
                inside[last] = {key: moved}
    return content


def _places(content: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _places(value, (*here, key))


def _bytes_changed(body: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(body))
    length = chance.choice((0, 1, 1, 2, 9))
    put = chance.choice(BYTES) if chance.random() < 0.8 else chance.randbytes(3)
    if chance.random() < 0.1:
        return body[:place]
    return body[:place] + put + body[place + length :]
