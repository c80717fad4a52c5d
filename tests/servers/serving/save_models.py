"""A folder goes in; real models, saved there by MLflow, come out.

Run in a process of its own: importing MLflow is slow.
"""

# ruff: noqa: TID253

import sys
from pathlib import Path

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
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
    for name in ("broken", "hungry", "starved", "crashing", "describe"):
        save_code(folder, name)
    for name in ("chat", "chat_agent", "responses"):  # their examples and signatures are MLflow's
        save_code(folder, name)
    save_code(folder, "numbered", input_example=pd.DataFrame([[1.0, 2.0], [3.0, 4.0]]))


main(Path(sys.argv[1]))
