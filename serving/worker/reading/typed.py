"""Convert typed columns to data for the model, and its results to typed columns.

Runs in the worker, with the model's own mlflow, pandas and numpy.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

from . import tensor_values, values

NUMPY = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = {code.lstrip("<"): datatype for datatype, code in NUMPY.items()} | {"b1": "BOOL"}


class Typed:
    """Reads and writes typed columns for one model."""

    def __init__(self, metadata: Any) -> None:
        self._np = importlib.import_module("numpy")
        self._pd = importlib.import_module("pandas")
        self._columns = values.Columns()
        self._schema = metadata.get_input_schema()
        named = self._schema is not None and self._schema.has_input_names()
        # The name of a column may be of any type; the protocol has strings only.
        self._own = {str(name): name for name in self._schema.input_names()} if named else {}
        outputs = metadata.get_output_schema()
        self._names: list[str] = (
            list(map(str, outputs.input_names()))
            if outputs is not None and outputs.has_input_names()
            else []
        )

    def read(self, head: dict[str, Any], buffers: list[bytes]) -> Any:
        """Return typed columns as data for the model.

        `form` of the head selects the type: a frame, an array, or a dict of arrays.

        Raises:
            InvalidValue: a value is not of its column's type.
        """
        arrays = [
            self._array(column, buffer, place, as_frame=head["form"] == "frame")
            for place, (column, buffer) in enumerate(zip(head["columns"], buffers, strict=True))
        ]
        names = head["names"] and [self._own.get(name, name) for name in head["names"]]
        if head["form"] == "array":
            return arrays[0]
        if head["form"] == "dict":
            return dict(zip(names, arrays, strict=True))
        if len(arrays) == 1 and arrays[0].ndim == 2:
            return self._pd.DataFrame(arrays[0], columns=names)
        if len({array.dtype for array in arrays}) == 1:
            return self._pd.DataFrame(self._np.column_stack(arrays), columns=names)
        frame = self._pd.DataFrame(dict(enumerate(arrays)))
        if names is not None:
            frame.columns = names
        return frame

    def _array(self, column: dict[str, Any], buffer: bytes, place: int, *, as_frame: bool) -> Any:
        if column["datatype"] != "BYTES":
            # A copy: the array of frombuffer is read-only, and a model may write to its input.
            flat = self._np.frombuffer(buffer, NUMPY[column["datatype"]]).copy()
            return flat.reshape(column["shape"])
        texts, name = json.loads(buffer), column["name"]
        spec = self._spec(name, place)
        if column.get("base64") or getattr(spec.type if spec else None, "name", "") == "datetime":
            read = self._columns.read(spec, name, texts)
            return self._np.asarray(read).reshape(column["shape"])
        objects = as_frame or None in texts or (spec is not None and spec.type == "O")
        if not objects and spec is not None:
            tensor_values.fits(name, texts)
        elif not objects:
            objects = not tensor_values.has_room(texts)
        return self._np.array(texts, dtype=object if objects else None).reshape(column["shape"])

    def _spec(self, name: str, place: int) -> Any:
        """Return the signature's spec of an input; None without one."""
        if self._schema is None:
            return None
        if self._own:
            return self._schema.input_dict().get(self._own.get(name))
        return self._schema.inputs[place] if place < len(self._schema.inputs) else None

    def written(self, result: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Return a result as typed columns: head and buffers.

        Columns are named as in the frame, the dict or the signature, else output-0, output-1, ...
        """
        if isinstance(result, self._pd.DataFrame):
            parts = [(str(name), column) for name, column in result.items()]
        elif isinstance(result, dict):
            parts = [(str(name), value) for name, value in result.items()]
        else:
            several = isinstance(result, list | tuple) and bool(result)
            several = several and all(isinstance(part, self._np.ndarray) for part in result)
            values = list(result) if several else [result]
            names = self._names if len(self._names) == len(values) else []
            names = names or [f"output-{place}" for place in range(len(values))]
            parts = list(zip(names, values, strict=True))
        encoded = [(name, *self._encoded(value)) for name, value in parts]
        columns = [{"name": n, "datatype": d, "shape": list(s)} for n, d, s, _ in encoded]
        return {"columns": columns}, [buffer for *_, buffer in encoded]

    def _encoded(self, value: Any) -> tuple[str, tuple[int, ...], bytes]:
        array = value.toarray() if hasattr(value, "toarray") else self._np.asarray(value)
        if array.ndim == 0:
            array = array.reshape(1)
        if array.dtype == object:
            inferred = self._pd.Series(array.ravel()).infer_objects()
            array = inferred.to_numpy().reshape(array.shape)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype("<f8")
        datatype = DATATYPES.get(f"{array.dtype.kind}{array.dtype.itemsize}")
        if datatype is not None:
            return datatype, array.shape, array.astype(NUMPY[datatype]).tobytes()
        if array.dtype.kind == "M":
            array = self._np.datetime_as_string(array)
        texts = [self._text(element) for element in array.ravel().tolist()]
        return "BYTES", array.shape, json.dumps(texts).encode()

    def _text(self, element: Any) -> str | None:
        if isinstance(element, str):
            return element
        if isinstance(element, bytes):
            return element.decode("utf-8", "replace")
        if isinstance(element, dict | list):
            return json.dumps(element, default=str)
        return None if self._pd.isna(element) else str(element)
