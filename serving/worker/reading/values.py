"""Convert the values of one column to the type of the signature, or refuse them.

Values come from JSON, or are the texts of a CSV. A value is only converted to the same value of the
column's type: a number with a fraction is no whole number, a number is no text, and a time with an
offset is that instant in UTC. Runs in the worker, with the model's numpy and pandas.

Column types: https://mlflow.org/docs/latest/ml/model/signatures/#column-based-signatures
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
LARGEST_FLOAT = 3.4028235677973366e38
"""Numbers from here on do not fit into 32 bits."""
EXACT = 2**53
"""A double holds each whole number up to here."""
TIME = re.compile(
    r"\d{4}(-\d\d(-\d\d)?|/\d\d/\d\d|\d{4})"
    r"([T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?\s?(Z|[+-]\d\d(:?\d\d)?)?)?"
)
"""The year first: an unambiguous time (ISO 8601, and 2024/03/10)."""
NOTHING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A"})
"""How programs that write CSV spell a missing number or time."""
TRUTH = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
FIRST_YEAR, LAST_YEAR = 1678, 2261
"""The years that nanoseconds in 64 bits hold whole."""
_NUMBERS = frozenset({int, float, type(None)})
_NAN = float("nan")
SHOWN = 80
"""Characters of a value that a message repeats."""


class TooLarge(str):
    """A number of a body that no double can hold, as the client wrote it."""

    __slots__ = ()


class InvalidValue(ValueError):  # noqa: N818 - it becomes an answer
    """A value is not of its column's type; the message has its place, the value and the type."""


def invalid_value(where: str, place: int, value: Any, expected: str) -> InvalidValue:
    """Build the error for a value that does not fit."""
    where = f"{where} {place}"
    if value is None:
        return InvalidValue(f"{where}: the value is missing, expected {expected}")
    found = str(value) if isinstance(value, TooLarge) else json.dumps(value, ensure_ascii=False)
    found = found if len(found) <= SHOWN else f"{found[:SHOWN]}..."
    return InvalidValue(f"{where}: expected {expected}, got {found}")


class Columns:
    """Reads columns with the model's numpy and pandas."""

    def __init__(self) -> None:
        self._np = importlib.import_module("numpy")
        self._pd = importlib.import_module("pandas")
        schema = importlib.import_module("mlflow.types.schema")
        self._kinds = {
            name: getattr(schema, name, None) for name in ("DataType", "Array", "Object", "Map")
        }
        self._one: dict[str, Callable[[Any], Any]] = {
            "boolean": _boolean, "string": _text, "binary": _bytes, "datetime": self._datetime,
            "double": _number, "float": _number32,
            "integer": lambda v: _whole(v, *WHOLE["integer"]),
            "long": lambda v: _whole(v, *WHOLE["long"]),
        }  # fmt: skip

    def is_nested(self, spec: Any) -> bool:
        """Return whether a value of this column is a list or an object."""
        nested = tuple(kind for name in ("Array", "Object") if (kind := self._kinds[name]))
        return isinstance(spec.type, nested)

    def read(self, spec: Any, name: str, values: list[Any], *, written: bool = False) -> Any:
        """Return the values of a column as pandas holds them.

        Args:
            spec: the column in the signature.
            name: its name, for messages.
            values: its values.
            written: whether the values are texts of a CSV.

        Raises:
            InvalidValue: a value is not of the column's type.
        """
        if not isinstance(spec.type, self._kinds["DataType"]):  # type: ignore[arg-type]
            return [self._nested(spec.type, name, n, value) for n, value in enumerate(values)]
        kind = spec.type.name
        if written:
            values = _with_missing(kind, name, values, required=spec.required)
        dtype = spec.type.to_numpy()
        if kind == "double" and not set(map(type, values)) - _NUMBERS:
            try:
                return self._np.array(values, dtype)
            except OverflowError:
                pass  # reported below, with the row
        values = self._each(kind, name, values, required=spec.required)
        if kind in ("string", "binary") or (kind == "boolean" and None in values):
            held = self._pd.Series(values)
            text = isinstance(held.dtype, self._pd.StringDtype)
            return held if held.dtype == object or text else held.astype(object)
        return self._np.array(values, dtype)

    def _each(self, kind: str, name: str, values: list[Any], *, required: bool) -> list[Any]:
        one, found = self._one[kind], []
        lacking = kind in ("double", "float", "string", "datetime") or (
            not required and kind in ("boolean", "binary")
        )
        for row, value in enumerate(values):
            try:
                if value is None or value is _MISSING:
                    if not lacking:
                        raise invalid_value(f"column '{name}', row", row, None, EXPECTED[kind])
                    found.append(_missing(kind, value, self._np))
                else:
                    found.append(one(value))
            except InvalidValue:
                raise
            except (ValueError, OverflowError) as error:
                raise invalid_value(f"column '{name}', row", row, value, EXPECTED[kind]) from error
        return found

    def _nested(self, kind: Any, name: str, row: int, value: Any, *, listed: bool = False) -> Any:
        """Read the values in lists, objects and maps; mlflow checks the form of those."""
        if isinstance(kind, self._kinds["DataType"]):  # type: ignore[arg-type]
            return self._leaf(kind.name, name, row, value, listed=listed)
        if isinstance(value, list) and hasattr(kind, "dtype"):
            return [self._nested(kind.dtype, name, row, each, listed=True) for each in value]
        if isinstance(value, dict) and hasattr(kind, "properties"):
            known = {each.name: each.dtype for each in kind.properties}
            return {
                key: self._nested(known[key], name, row, each) if key in known else each
                for key, each in value.items()
            }
        if isinstance(value, dict) and hasattr(kind, "value_type"):
            return {k: self._nested(kind.value_type, name, row, v) for k, v in value.items()}
        return None if value is _MISSING else value

    def _leaf(self, kind: str, name: str, row: int, value: Any, *, listed: bool) -> Any:
        where = f"column '{name}', row"
        if value is None or value is _MISSING:
            if listed and kind == "string":  # mlflow would convert it to the text "None"
                raise invalid_value(where, row, None, EXPECTED[kind])
            return None
        try:
            found = self._one[kind](value)
        except (ValueError, OverflowError) as error:
            raise invalid_value(where, row, value, EXPECTED[kind]) from error
        if listed and kind == "datetime":
            raise InvalidValue(
                f"{where} {row}: mlflow makes numbers of times in a list: send an object"
            )
        if listed and kind == "binary" and found.endswith(b"\0"):
            raise InvalidValue(
                f"{where} {row}: mlflow drops zero bytes at the end of bytes in a list"
            )
        return found

    def _datetime(self, value: Any) -> Any:
        """Return an instant in UTC, without a time zone, as mlflow's columns hold it."""
        if type(value) is not str or not TIME.fullmatch(value):
            raise ValueError(value)  # a number has no unit, and 03/04 has two readings
        found = self._pd.Timestamp(value.replace(",", "."))
        if found.tzinfo is not None:
            found = found.tz_convert("UTC").tz_localize(None)
        if not FIRST_YEAR <= found.year <= LAST_YEAR:
            raise OverflowError(value)
        return found.to_datetime64().astype("datetime64[ns]")


_MISSING: Any = _NAN
"""Stands for a field that a record does not have."""
EXPECTED = {
    "boolean": "true or false",
    "integer": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a number that fits into 32 bits",
    "double": "a number that fits into 64 bits",
    "string": "a text",
    "binary": "base64",
    "datetime": "a time in ISO 8601, such as 2024-03-10T02:30:00Z",
}


def absent() -> Any:
    """Return the value that stands for a field that a record does not have."""
    return _MISSING


def _missing(kind: str, value: Any, np: Any) -> Any:
    if kind in ("double", "float"):
        return _NAN
    if kind == "datetime":
        return np.datetime64("NaT")
    return value if kind == "string" else None


def _number(value: Any) -> float:
    if type(value) not in (int, float) and not (type(value) is str and _plain(value)):
        raise ValueError(value)
    found = float(value)
    if math.isinf(found) and type(value) is str and "inf" not in value.lower():
        raise OverflowError(value)
    return found


def _number32(value: Any) -> float:
    found = _number(value)
    if LARGEST_FLOAT <= abs(found) < math.inf:
        raise OverflowError(value)
    return found


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is str and _plain(value):
        value = int(value) if re.fullmatch(r"\s*[+-]?\d+\s*", value) else float(value)
    if type(value) not in (int, float) or (type(value) is float and abs(value) > EXACT):
        raise ValueError(value)
    found = int(value)  # raises for infinity and NaN
    if found != value or not least <= found <= most:
        raise ValueError(value)
    return found


def _plain(text: str) -> bool:
    """Return whether a number has the common spelling; Python alone reads 1_000."""
    return text.isascii() and "_" not in text and len(text) <= 1_000


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value in TRUTH:
        return TRUTH[value]
    raise ValueError(value)


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise ValueError(value)


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError(value)
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(value) from error


def _with_missing(kind: str, name: str, texts: list[str], *, required: bool) -> list[Any]:
    """Return the texts of a CSV, with None for each spelling of a missing value."""
    if kind in ("string", "binary"):
        return texts if required else [text or None for text in texts]
    if kind in ("double", "float", "datetime"):
        return [None if text.strip() in NOTHING else text for text in texts]
    for row, text in enumerate(texts):
        if required and text.strip() in NOTHING:
            raise invalid_value(f"column '{name}', row", row, None, EXPECTED[kind])
    return [None if text.strip() in NOTHING else text.strip() for text in texts]
