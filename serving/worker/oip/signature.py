"""Convert an MLflow signature to the tensors that the Open Inference Protocol shows.

Column types: https://mlflow.org/docs/latest/ml/model/signatures/ ; a type may stand for another
where mlflow's schema enforcement converts it safely (mlflow.models.utils,
`_enforce_mlflow_datatype`). The front and the worker both load this file; it needs the standard
library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COLUMN_TYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}
TENSOR_TYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
_SMALL = {"INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32"}
# A column of the key's type takes values of these types, too.
WIDENED = {
    "INT32": {"INT8", "INT16", "UINT8", "UINT16"},
    "INT64": _SMALL,
    "FP32": {"FP16"},
    "FP64": {"FP16", "FP32"} | _SMALL,
}


@dataclass(frozen=True)
class Tensor:
    """An input or output as the protocol shows it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """-1 is any length."""
    required: bool = True
    base64: bool = False
    """Whether the strings are base64 of a binary column."""
    unsupported: str = ""
    """MLflow's type, where the protocol has none for it."""

    def takes(self, datatype: str, *, widened: bool) -> bool:
        """Return whether a request may send values of `datatype` for this tensor."""
        return datatype == self.datatype or (widened and datatype in WIDENED.get(self.datatype, ()))

    def to_json(self) -> dict[str, Any]:
        """Return the tensor's entry in the model's metadata."""
        shown: dict[str, Any] = {"name": self.name, "datatype": self.datatype, "shape": self.shape}
        parameters: dict[str, Any] = {}
        if not self.required:
            parameters["required"] = False
        if self.base64:
            parameters["content_type"] = "base64"
        if parameters:
            shown["parameters"] = parameters
        return shown

    def wanted(self) -> str:
        """Describe the expected datatype and shape for a message."""
        return f"{self.datatype} of shape {list(self.shape)}"


@dataclass(frozen=True)
class Side:
    """The inputs, or the outputs, of a signature."""

    tensors: tuple[Tensor, ...]
    columns: bool
    """Whether the tensors are columns of a frame."""
    named: bool


def side(specs: list[dict[str, Any]] | None, prefix: str) -> Side | None:
    """Convert one side of MLflow's signature (its list of specs); None if the model has none.

    Specs without a name are called `prefix`-0, `prefix`-1, and so on.
    """
    if not specs:
        return None
    tensors: list[Tensor] = []
    for place, spec in enumerate(specs):
        # The name of a column may be 0.
        name = str(spec["name"]) if _is_named(spec) else f"{prefix}-{place}"
        required = bool(spec.get("required", True))
        if spec["type"] == "tensor":
            detail = spec["tensor-spec"]
            datatype = TENSOR_TYPES.get(detail["dtype"], "BYTES")
            tensors.append(Tensor(name, datatype, tuple(detail["shape"]), required))
            continue
        kind = str(spec["type"])
        datatype = COLUMN_TYPES.get(kind, "BYTES")
        unsupported = "" if kind in COLUMN_TYPES else kind
        tensors.append(Tensor(name, datatype, (-1, 1), required, kind == "binary", unsupported))
    columns = specs[0]["type"] != "tensor"
    return Side(tuple(tensors), columns, named=_is_named(specs[0]))


def _is_named(spec: dict[str, Any]) -> bool:
    return spec.get("name") not in (None, "")


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model; a side is None where unknown."""

    inputs: Side | None
    outputs: Side | None
    params: frozenset[str]


def signature(parts: dict[str, Any]) -> Signature:
    """Convert the signature in `parts`: `inputs`, `outputs`, `params` as MLflow lists them."""
    params = frozenset(str(param["name"]) for param in parts.get("params") or ())
    return Signature(
        side(parts.get("inputs"), "input"), side(parts.get("outputs"), "output"), params
    )
