"""Take the rows of the model's input example as evidence for batching, before any request.

Runs in the worker.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .batching import EVIDENCE, Waiting

if TYPE_CHECKING:
    from .rows import Rows

MOST_BYTES = 1_000_000
"""A larger example is not read: reading it would take the first requests' time."""


def questions(model: Any, artifact: str, rows: Rows) -> list[Waiting]:
    """Return different rows of the input example, each as a question that no client asked.

    Empty where there are too few rows for evidence, or where the example cannot be read.
    """
    try:
        return _questions(model.metadata, Path(artifact), rows)
    except Exception:  # noqa: BLE001 - an example is optional: a broken one is ignored
        return []


def _questions(metadata: Any, artifact: Path, rows: Rows) -> list[Waiting]:
    about = metadata.saved_input_example_info
    if not about or (artifact / about["artifact_path"]).stat().st_size > MOST_BYTES:
        return []
    example = metadata.load_input_example(str(artifact))
    if isinstance(example, tuple):  # with params: such requests share no call
        return []
    found: dict[Any, Any] = {}
    for row in rows.single(example):
        [name] = rows.fingerprints(row)
        found.setdefault(name, row)
        if len(found) == EVIDENCE:
            break
    if len(found) < EVIDENCE:
        return []
    keys = [rows.count_and_key(row, None) for row in found.values()]
    return [
        Waiting(0, 0, row, None, count, key, lambda _: b"")
        for row, (count, key) in zip(found.values(), keys, strict=True)
        if count == 1 and key is not None
    ]
