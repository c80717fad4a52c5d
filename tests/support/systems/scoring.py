"""One question, read by MLflow's scoring server and by ours, in this process.

Import it inside a test: importing MLflow is slow.
"""

# ruff: noqa: TID253

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.signature import ModelSignature
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property

from serving.worker.oip import tensors
from serving.worker.reading.typed import Typed
from serving.worker.reading.values import InvalidValue
from serving.worker.scoring import Refused, Scorer

__all__ = ["Array", "ColSpec", "DataType", "Map", "Object", "Property", "Schema", "TensorSpec"]

JSON = "application/json"


def described(data: Any) -> Any:
    """Return what a model was given: types and values, as JSON can say it."""
    if isinstance(data, pd.DataFrame):
        columns = {str(name): described(data[name].tolist()) for name in data}
        types = {str(name): str(data[name].dtype) for name in data}
        return {"columns": columns, "types": types, "index": described(data.index.tolist())}
    if isinstance(data, np.ndarray):
        return {"dtype": data.dtype.kind, "shape": list(data.shape), "is": described(data.tolist())}
    if isinstance(data, dict):
        return {str(name): described(value) for name, value in data.items()}
    if isinstance(data, list):
        return [described(each) for each in data]
    # numpy's scalars are what they are called without it.
    kind = type(data).__name__.rstrip("_").removesuffix("64")
    return f"{kind}:{data.item() if isinstance(data, np.generic) else data!r}"


class Echo:
    """A model that answers what it was given, in one row."""

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[str]:
        return [json.dumps([described(model_input), params])]


def model(*specs: ColSpec | TensorSpec, answers: Any = None) -> PyFuncModel:
    """Make a pyfunc model with a signature of these inputs; none: without a signature."""

    class Answering(Echo):
        def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
            return answers if answers is not None else super().predict(model_input, params)

    signature = ModelSignature(inputs=Schema(list(specs))) if specs else None
    meta = Model(signature=signature, flavors={"python_function": {"loader_module": "none"}})
    return PyFuncModel(meta, Answering(), predict_fn="predict")


def column(kind: str, name: str = "x", *, required: bool = True) -> ColSpec:
    return ColSpec(DataType[kind], name, required)


def tensor(dtype: str, shape: tuple[int, ...] = (-1,), name: str | None = None) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


def seen(answer: str) -> Any:
    """Return what the model said that it was given."""
    said = json.loads(answer)["predictions"]
    return json.loads(said[0])[0] if len(said) == 1 and isinstance(said[0], str) else said


def theirs(of: Any, body: bytes, content_type: str = JSON) -> tuple[int, Any]:
    """Return the status and what the model saw (or why not), by MLflow's own server."""
    try:
        schema = of.metadata.get_input_schema()
        answer = scoring_server.invocations(body, content_type, of, schema)
    except MlflowException as error:
        return error.get_http_status_code(), error.message
    except Exception as error:  # noqa: BLE001 - FastAPI answers 500 to all else
        return 500, repr(error)
    return answer.status, seen(answer.response) if answer.status == 200 else answer.response


def ours(of: Any, body: bytes, content_type: str = JSON, *, strict: bool = True) -> tuple[int, Any]:
    """Return the status and what the model saw (or why not), by our worker's reader."""
    scorer = Scorer(of, strict_input=strict)
    try:
        read = scorer.read_invoke(content_type, body)
        result = scorer.predict(read.data, read.params)
        return 200, seen(scorer.answer_invoke(result, unwrapped=read.unwrapped))
    except Refused as error:
        return error.status, error.message


def columns(of: Any, head: dict[str, Any], *sent: tuple[str, list[Any]]) -> tuple[int, Any]:
    """Return the same for typed columns, as the Open Inference Protocol brings them."""
    scorer = Scorer(of)
    try:
        data = Typed(of.metadata).read(head, [tensors.encode(kind, each) for kind, each in sent])
        answer = scorer.answer_invoke(scorer.predict(data, None), unwrapped=False)
    except (Refused, InvalidValue) as error:
        return 400, str(error)
    return 200, seen(answer)
