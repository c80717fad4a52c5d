"""Join the data of several requests for one call of the model, and cut its result.

Runs in the worker. Knows pandas and numpy, and which data may be joined without changing the
meaning of any request.
"""

from __future__ import annotations

import importlib
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


class Rows:
    """Joins data for one pyfunc model, and cuts its results."""

    def __init__(self, model: Any) -> None:
        self._np = importlib.import_module("numpy")
        self._pd = importlib.import_module("pandas")
        utils = importlib.import_module("mlflow.models.utils")
        self._schema = model.metadata.get_input_schema()
        self._enforce = getattr(utils, "_enforce_schema", None)
        # A model with type hints from its example gets rows in that example's form, at times only
        # the first row.
        from_example = getattr(model.metadata, "_is_type_hint_from_example", lambda: False)
        self._joins = not from_example() and (self._schema is None or self._enforce is not None)

    def count_and_key(self, data: Any, params: Any) -> tuple[int, Hashable]:
        """Return the number of rows of a request (0: unknown), and its key (None: never joined).

        Keys are equal only for data of equal columns, in equal order, of equal types.
        """
        if params or not self._joins:
            return 0, None
        if isinstance(data, self._pd.DataFrame):
            index = data.index
            plain = isinstance(index, self._pd.RangeIndex) and (index.start, index.step) == (0, 1)
            return len(data), (tuple(data.columns), tuple(data.dtypes)) if plain else None
        if isinstance(data, self._np.ndarray) and data.ndim and data.dtype != object:
            return len(data), (data.dtype.str, data.shape[1:])
        if isinstance(data, dict) and data:
            parts = [(name, self.count_and_key(data[name], None)) for name in data]
            arrays = all(isinstance(value, self._np.ndarray) for value in data.values())
            if (
                arrays
                and len({rows for _, (rows, _) in parts}) == 1
                and all(k for _, (_, k) in parts)
            ):
                return parts[0][1][0], tuple((name, key) for name, (_, key) in parts)
        return 0, None

    def single(self, data: Any) -> Iterator[Any]:
        """Yield the rows of a frame or an array, each as data of its own."""
        if isinstance(data, self._pd.DataFrame):
            for place in range(len(data)):
                yield data.iloc[place : place + 1].reset_index(drop=True)
        elif isinstance(data, self._np.ndarray) and data.ndim:
            for place in range(len(data)):
                yield data[place : place + 1]
        elif isinstance(data, dict) and data:
            for parts in zip(*map(self.single, data.values()), strict=True):
                yield dict(zip(data, parts, strict=True))

    def join(self, parts: list[Any]) -> Any:
        """Return data of equal keys as one.

        Raises whatever mlflow raises if one of the parts, alone, breaks the signature.
        """
        first = parts[0]
        if isinstance(first, dict):
            return {name: self._np.concatenate([part[name] for part in parts]) for name in first}
        if isinstance(first, self._np.ndarray):
            return self._np.concatenate(parts)
        dtypes = set(first.dtypes)
        if self._enforce is not None and self._schema is not None and object in dtypes:
            # mlflow judges a column of objects as a whole: in a batch, a request could pass that
            # would fail alone. mlflow judges other columns by type, or value by value: no need to
            # check each request.
            parts = [self._enforce(part, self._schema) for part in parts]
            dtypes = set()
        if len(dtypes) == 1 and isinstance(next(iter(dtypes)), self._np.dtype):
            values = self._np.concatenate([part.to_numpy() for part in parts])
            return self._pd.DataFrame(values, columns=first.columns)
        return self._pd.concat(parts, ignore_index=True)

    def cut(self, result: Any, rows: list[int]) -> list[Any] | None:
        """Return the result of each request; None unless there is one row for each row."""
        if isinstance(result, dict):
            cuts = {name: self.cut(value, rows) for name, value in result.items()}
            if not cuts or any(part is None for part in cuts.values()):
                return None
            return [
                {name: part[i] for name, part in cuts.items() if part} for i in range(len(rows))
            ]
        framed = isinstance(result, self._pd.DataFrame | self._pd.Series)
        sized = framed or (isinstance(result, self._np.ndarray) and result.ndim > 0)
        # A list of arrays holds one array for each output, not for each row.
        if not (sized or _is_plain(result)) or len(result) != sum(rows):
            return None
        whole = result.iloc if framed else result
        ends = itertools.accumulate(rows)
        return [whole[end - count : end] for end, count in zip(ends, rows, strict=True)]

    def copy(self, data: Any) -> Any:
        """Return data that a model may change without changing the request."""
        if isinstance(data, dict):
            return {name: self.copy(value) for name, value in data.items()}
        return data.copy()

    def equal(self, one: Any, other: Any) -> bool:
        """Return whether two results are equal, up to the rounding of sums in any order.

        A model computes a row of a batch with other instructions than a row alone.
        """
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(self.equal(one[k], other[k]) for k in one)
        if isinstance(one, self._pd.DataFrame) and isinstance(other, self._pd.DataFrame):
            pairs = ((one.iloc[:, n], other.iloc[:, n]) for n in range(len(one.columns)))
            return list(one.columns) == list(other.columns) and all(self.equal(*p) for p in pairs)
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
            return len(one) == len(other) and all(map(self.equal, one, other))
        left, right = self._np.asarray(one), self._np.asarray(other)
        if left.shape != right.shape:
            return False
        if left.dtype.kind == "O" and left.ndim:
            return all(map(self.equal, left.ravel().tolist(), right.ravel().tolist()))
        if left.dtype.kind not in "fc" or right.dtype.kind not in "fc":
            equal = left == right
            return bool(self._np.all(equal | self._pd.isna(left) & self._pd.isna(right)))
        rounding = 1e-4 if min(left.dtype.itemsize, right.dtype.itemsize) <= 4 else 1e-7
        sizes = self._np.abs(left[self._np.isfinite(left)])
        nothing = rounding * float(sizes.max()) if sizes.size else 0.0
        close = self._np.allclose(left, right, rtol=rounding, atol=nothing, equal_nan=True)
        return bool(close)

    def fingerprints(self, data: Any) -> list[Hashable]:
        """Return a value for each row of a request that distinguishes it from other rows."""
        if isinstance(data, dict):
            return list(zip(*(self.fingerprints(data[name]) for name in sorted(data)), strict=True))
        if isinstance(data, self._np.ndarray):
            return [hash(row.tobytes()) for row in data]
        try:
            return list(self._pd.util.hash_pandas_object(data, index=False))
        except TypeError:  # a cell holds a list or a dict
            return [repr(row) for row in data.itertuples(index=False, name=None)]


def _is_plain(value: Any) -> bool:
    return isinstance(value, list) and all(
        element is None or isinstance(element, str | int | float | dict) for element in value
    )
