"""Save real models into a folder with MLflow.

Run in a process of its own: importing MLflow is slow.
"""

# ruff: noqa: TID253

import base64
import json
import sys
from copy import deepcopy
from pathlib import Path

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

REQUIREMENTS = ["mlflow==3.17.2"]
HERE = Path(__file__).parent / "models"


def save_sklearn(folder: Path, name: str, model, signature) -> None:
    mlflow.sklearn.save_model(
        model,
        folder / name,
        signature=signature,
        serialization_format="cloudpickle",
        pip_requirements=REQUIREMENTS,
    )


def save_code(folder: Path, name: str, signature=None, **more) -> None:
    mlflow.pyfunc.save_model(
        folder / name,
        python_model=str(HERE / f"{name}.py"),
        signature=signature,
        pip_requirements=REQUIREMENTS,
        **more,
    )


def save_parts(folder: Path) -> None:
    """Save the model of parts, a request to it, and what it answers where it was saved."""
    person = Object([Property("age", DataType.long), Property("born", DataType.datetime)])
    columns = {
        "double": DataType.double, "float": DataType.float, "long": DataType.long,
        "integer": DataType.integer, "boolean": DataType.boolean, "string": DataType.string,
        "datetime": DataType.datetime, "binary": DataType.binary, "list": Array(DataType.double),
        "person": person, "map": Map(DataType.string),
    }  # fmt: skip
    optional = [ColSpec(DataType.double, "maybe", False), ColSpec(DataType.string, "never", False)]
    signature = ModelSignature(
        inputs=Schema([*(ColSpec(kind, name) for name, kind in columns.items()), *optional]),
        params=ParamSchema([ParamSpec("mark", DataType.string, "unmarked")]),
    )
    prefix = folder / "prefix.txt"
    prefix.write_text("seen", encoding="utf-8")
    save_code(
        folder, "parts", signature, artifacts={"prefix": str(prefix)},
        code_paths=[str(HERE / "wording")],
    )  # fmt: skip
    born = np.datetime64("1815-12-10T00:00:00", "ns")
    row = {
        "double": 0.1, "float": np.float32(0.5), "long": 2**62 + 1, "integer": np.int32(-7),
        "boolean": True, "string": "NA", "datetime": pd.Timestamp("2024-03-10T02:30:00.123456"),
        "binary": b"\x00\xff", "list": [1.5, 2.0], "person": {"age": 36, "born": born},
        "map": {"a": "b"}, "maybe": 2.5,
    }  # fmt: skip
    rows = [deepcopy(row), {**row, "double": float("nan"), "string": "", "maybe": float("nan")}]
    frame = pd.DataFrame(rows).astype({"float": "float32", "integer": "int32"})
    told = {"mark": "marked"}
    expected = mlflow.pyfunc.load_model(str(folder / "parts")).predict(frame, params=told)
    sent = {
        **row, "float": 0.5, "integer": -7, "datetime": "2024-03-10T02:30:00.123456",
        "binary": base64.b64encode(b"\x00\xff").decode(),
        "person": {"age": 36, "born": "1815-12-10T00:00:00"},
    }  # fmt: skip
    records = [sent, {**sent, "double": None, "string": "", "maybe": None}]
    asked = {"dataframe_records": records, "params": told}
    (folder / "parts.json").write_text(json.dumps({"asked": asked, "expected": expected}))


def main(folder: Path) -> None:
    data = load_iris(as_frame=True)
    frame, target = data.data, data.target
    linear = LogisticRegression(max_iter=500).fit(frame, target)
    save_sklearn(folder, "iris", linear, infer_signature(frame, linear.predict(frame)))

    array = frame.to_numpy()
    forest = RandomForestClassifier(n_estimators=10, random_state=0).fit(array, target)
    tensors = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("float64"), (-1, 4))]),
        outputs=Schema([TensorSpec(np.dtype("int64"), (-1,))]),
    )
    save_sklearn(folder, "forest", forest, tensors)

    words = pd.DataFrame({"colour": ["red", "blue", "green"], "size": ["s", "m", "l"]})
    words = pd.concat([words] * 5, ignore_index=True)
    answers = ["stop", "sea", "go"] * 5
    encoder = OneHotEncoder(handle_unknown="ignore")
    words_model = make_pipeline(encoder, KNeighborsClassifier(1)).fit(words, answers)
    save_sklearn(folder, "words", words_model, infer_signature(words, words_model.predict(words)))

    acting = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "act"), ColSpec(DataType.double, "number")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "said"),
                ColSpec(DataType.double, "number"),
                ColSpec(DataType.long, "whole"),
            ]
        ),
        params=ParamSchema([ParamSpec("factor", DataType.double, 1.0)]),
    )
    save_code(folder, "actor", acting)
    prompt = ModelSignature(inputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2), "input")]))
    save_code(folder, "prompted", prompt)
    number = ModelSignature(inputs=Schema([ColSpec(DataType.double, "number")]))
    save_code(folder, "total", number)
    save_parts(folder)
    for name in ("broken", "hungry", "starved", "crashing", "describe"):
        save_code(folder, name)
    for name in ("chat", "chat_agent", "responses"):  # their examples and signatures are MLflow's
        save_code(folder, name)
    rows = pd.DataFrame({"number": [row / 3 for row in range(40)]})
    save_code(folder, "ranked", number, input_example=rows)
    save_code(folder, "halves", number, input_example=rows)
    save_code(folder, "numbered", input_example=pd.DataFrame([[1.0, 2.0], [3.0, 4.0]]))


main(Path(sys.argv[1]))
