"""Check the form of a request before pandas fills in missing values.

Needs the standard library only.
"""

from __future__ import annotations

from typing import Any

from .values import InvalidValue

SPARSE = 4
"""How many times more cells than values the table of records may have."""
FEW = 100_000
"""Number of cells that is always allowed."""


def whole_rows(split: Any) -> None:
    """Refuse rows whose length is not that of `columns`, and an `index` not as long as `data`."""
    if not isinstance(split, dict) or not isinstance(rows := split.get("data"), list):
        return
    names, index = split.get("columns"), split.get("index")
    if isinstance(index, list) and len(index) != len(rows):
        raise InvalidValue(
            f"dataframe_split: {len(rows)} rows, but 'index' has {len(index)} values"
        )
    lengths = [len(row) if isinstance(row, list) else -1 for row in rows]
    expected = len(names) if isinstance(names, list) else max(lengths, default=0)
    for place, length in enumerate(lengths):
        if length not in (expected, -1):
            said = f"{length} values, expected {expected}: one for each of 'columns'"
            raise InvalidValue(f"dataframe_split: row {place} has {said}")


def dense(form: str, records: Any) -> None:
    """Refuse records with different fields each: their table would be nearly empty.

    mlflow makes columns of `instances` without regard to the record of a value.
    """
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        return
    fields = set().union(*records)
    values = sum(map(len, records))
    cells = len(fields) * len(records)
    if form == "instances" and values < cells:
        raise InvalidValue("instances: each record must have the same fields")
    if cells > max(FEW, SPARSE * values):
        said = f"{len(records)} records with {len(fields)} fields among them"
        raise InvalidValue(f"{form}: {said} are mostly empty: send the same fields in each")
