"""Read a request in MLflow's protocol so that no value changes on the way to the model.

For a model with a signature of columns, this module reads the forms of the protocol, value by value
(values.py). mlflow reads other forms, and requests to other models, after a check of the form and
of the values of tensors (forms.py, tensor_values.py). Runs in the worker, with the model's own
mlflow, pandas and numpy.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from . import forms, tensor_values, values
from .values import InvalidValue, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
MAY_OVERFLOW = re.compile(rb"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{309}")
_NUMBERS = frozenset({int, float, type(None)})
csv.field_size_limit(2**31 - 1)  # the front limits the body


class LeftToMlflow(Exception):  # noqa: N818 - a way out, not an error
    """The request has a form that mlflow reads, or refuses."""


def loads(body: bytes) -> Any:
    """Parse JSON; a number that no double can hold comes as TooLarge."""
    if MAY_OVERFLOW.search(body):
        return json.loads(body, parse_float=_float)
    return json.loads(body)


def _float(text: str) -> float | TooLarge:
    found = float(text)
    return TooLarge(text) if math.isinf(found) else found


class Strict:
    """Reads the requests to one model."""

    def __init__(self, schema: Any) -> None:
        self._np = importlib.import_module("numpy")
        self._pd = importlib.import_module("pandas")
        self._columns = values.Columns()
        self._schema = schema
        self._of_columns = schema is not None and not schema.is_tensor_spec()
        self._specs = list(schema.inputs) if self._of_columns else []
        self._named = self._of_columns and schema.has_input_names()
        self._names = [each.name for each in self._specs] if self._named else []
        doubles = [getattr(each.type, "name", "") == "double" for each in self._specs]
        self._all_double = bool(doubles) and all(doubles)
        self._as_one_row = any(map(self._columns.is_nested, self._specs))

    # -- JSON

    def frame(self, request: dict[str, Any]) -> Any:
        """Return the frame of a request in one of the forms.

        Raises:
            InvalidValue: a value is not of the signature's type.
            LeftToMlflow: mlflow has to read the request.
        """
        forms = [form for form in FORMS if form in request]
        if not self._of_columns or len(forms) != 1:
            raise LeftToMlflow
        data = request[forms[0]]
        if forms[0] == "dataframe_split":
            return self._split(data)
        if forms[0] == "dataframe_records" or _are_records(data):
            return self._records(data)
        return self._listed(data)

    def _split(self, data: Any) -> Any:
        if not isinstance(data, dict) or data.keys() - {"columns", "data", "index"}:
            raise LeftToMlflow
        forms.whole_rows(data)
        rows, names, index = data.get("data"), data.get("columns"), data.get("index")
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise LeftToMlflow
        if names is None and rows and not self._named:
            names = list(range(len(rows[0])))
        if not isinstance(names, list) or len(set(map(repr, names))) < len(names):
            raise LeftToMlflow
        if index is not None and not isinstance(index, list):
            raise LeftToMlflow
        if self._all_double and rows and (not self._named or names == self._names):
            whole = self._whole(rows, names)
            if whole is not None:
                return whole if index is None else whole.set_axis(index, axis=0)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return self._framed(zip(names, columns, strict=True), len(rows), index)

    def _whole(self, rows: list[list[Any]], names: list[Any]) -> Any:
        """Return rows of numbers in one step; None if a row holds anything else."""
        if set(map(type, chain.from_iterable(rows))) - _NUMBERS or len(names) < len(self._specs):
            return None
        try:
            return self._pd.DataFrame(self._np.array(rows, "float64"), columns=names)
        except OverflowError:
            return None

    def _records(self, records: Any) -> Any:
        if not self._named or not _are_records(records):
            raise LeftToMlflow
        missing = values.absent()
        sent = set().union(*records)
        columns = (
            (name, [record.get(name, missing) for record in records])
            for name in self._names
            if name in sent
        )
        return self._framed(columns, len(records), None)

    def _listed(self, data: Any) -> Any:
        """Read `inputs` and `instances` other than records: by column, or without names."""
        if isinstance(data, dict):
            if not self._named:
                raise LeftToMlflow
            if self._as_one_row:
                return self._records([data])
            return self._framed(*_broadcast(data))
        if self._named:
            if len(self._names) != 1 or not isinstance(data, list):
                raise LeftToMlflow
            return self._listed({self._names[0]: data if self._as_one_row else _flat(data)})
        if not isinstance(data, list):
            data = [data]
        if data and all(isinstance(row, list) for row in data):
            return self._split({"data": data})
        return self._framed([(0, data)], len(data), None)

    def _framed(
        self,
        columns: Iterable[tuple[Any, Any]],
        rows: int,
        index: Any,
        *,
        written: bool = False,
    ) -> Any:
        """Return a frame of the columns that the signature names; other columns are ignored.

        `written`: the values are texts of a CSV.
        """
        if self._named:
            specs = dict(zip(self._names, self._specs, strict=True))
            sent = {name: column for name, column in columns if name in specs}
            self._require_columns(sent)
            chosen = [(name, specs[name], sent[name]) for name in self._names if name in sent]
        else:
            listed = list(columns)
            if len(listed) < len(self._specs):
                raise LeftToMlflow  # mlflow reports the expected number
            chosen = [(name, spec, col) for (name, col), spec in zip(listed, self._specs)]  # noqa: B905 - more columns play no part
        read = {
            name: self._columns.read(spec, str(name), list(column), written=written)
            for name, spec, column in chosen
        }
        frame = self._pd.DataFrame(read, index=range(rows) if not read else None)
        return frame if index is None else frame.set_axis(index, axis=0)

    def _require_columns(self, sent: dict[str, Any]) -> None:
        if any(spec.required and spec.name not in sent for spec in self._specs):
            raise LeftToMlflow  # mlflow names the missing columns

    # -- CSV

    def table(self, text: str) -> Any:
        """Return the frame of a CSV with a header.

        Raises:
            InvalidValue: a value is not of the signature's type, or the CSV is malformed.
            LeftToMlflow: mlflow has to read the CSV.
        """
        lines = _rows(text)
        names = next(lines, [])
        if len(set(names)) < len(names):
            raise InvalidValue("the header of the CSV names a column twice")
        if not self._of_columns or not names:
            raise LeftToMlflow
        rows = list(lines)
        for place, row in enumerate(rows):
            if len(row) != len(names):
                raise InvalidValue(
                    f"row {place} has {len(row)} fields, but the header has {len(names)}"
                )
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return self._framed(zip(names, columns, strict=True), len(rows), None, written=True)

    # -- tensors, and models without a signature

    def check(self, request: dict[str, Any], body: bytes) -> None:
        """Refuse a request that mlflow would change on its way to a model without columns.

        Raises:
            InvalidValue: mlflow would change a value.
        """
        forms.whole_rows(request.get("dataframe_split"))
        for form in ("dataframe_records", "instances", "inputs"):
            forms.dense(form, request.get(form))
        if self._schema is not None and self._schema.is_tensor_spec():
            for name, spec, sent in tensor_values.sent(request, list(self._schema.inputs)):
                tensor_values.check(name, spec, sent)
        if MAY_OVERFLOW.search(body):
            tensor_values.no_overflow(request)


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV; an empty line is no row, as in pandas."""
    try:
        lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
        yield from filter(None, csv.reader(lines, strict=True))
    except csv.Error as error:
        raise InvalidValue(f"the CSV cannot be read: {error}") from error


def _are_records(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(each, dict) for each in data)


def _flat(data: list[Any]) -> list[Any]:
    """Return a column that was sent as a list of rows of one value."""
    if data and all(isinstance(each, list) and len(each) == 1 for each in data):
        return [each[0] for each in data]
    return data


def _broadcast(data: dict[str, Any]) -> tuple[list[tuple[str, list[Any]]], int, None]:
    """Return columns of one length; a single value is repeated for each row, as in pandas."""
    lengths = {len(column) for column in data.values() if isinstance(column, list)}
    if len(lengths) > 1:
        said = ", ".join(f"'{n}' {len(c)}" for n, c in data.items() if isinstance(c, list))
        raise InvalidValue(f"the columns have different numbers of values: {said[:400]}")
    rows = lengths.pop() if lengths else 1
    columns = {
        name: column if isinstance(column, list) else [column] * rows
        for name, column in data.items()
    }
    return list(columns.items()), rows, None
