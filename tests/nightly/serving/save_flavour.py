"""Save a model of a flavour with MLflow, and what it answers.

    python save_flavour.py FLAVOUR FOLDER

Runs in the flavour's own environment. FOLDER gets `model`, `asked.json` (a request) and
`answered.json`: what `mlflow.pyfunc.load_model(...).predict(...)` returns for it there.
"""

# ruff: noqa: TID253
# A program of its own, and each flavour has its own packages.

import io
import json
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.scoring_server import predictions_to_json

DRAW = np.random.default_rng(1)
FRAME = pd.DataFrame(DRAW.normal(size=(60, 4)), columns=["a", "b", "c", "d"])
FRAME.iloc[3, 1] = np.nan
TARGET = FRAME["a"] * 2 - FRAME["c"] + DRAW.normal(scale=0.1, size=60)
WHOLE = FRAME.fillna(0.0)
ROWS = 20


def xgboost(folder):
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=20, n_jobs=1).fit(FRAME, TARGET)
    signature = infer_signature(FRAME, model.predict(FRAME))
    mlflow.xgboost.save_model(model, folder, signature=signature)
    return FRAME


def lightgbm(folder):
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=20, n_jobs=1, min_child_samples=2).fit(FRAME, TARGET)
    signature = infer_signature(FRAME, model.predict(FRAME))
    mlflow.lightgbm.save_model(model, folder, signature=signature)
    return FRAME


def catboost(folder):
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(iterations=20, thread_count=1, allow_writing_files=False, silent=True)
    model.fit(FRAME, TARGET)
    signature = infer_signature(FRAME, model.predict(FRAME))
    mlflow.catboost.save_model(model, folder, signature=signature)
    return FRAME


def keras(folder):
    import keras as package

    package.utils.set_random_seed(1)
    dense = package.layers.Dense
    model = package.Sequential([package.Input((4,)), dense(3, activation="relu"), dense(1)])
    array = WHOLE.to_numpy("float32")
    signature = infer_signature(array, model.predict(array))
    mlflow.tensorflow.save_model(model, folder, signature=signature)
    return array


def onnx(folder):
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = numpy_helper.from_array(DRAW.normal(size=(4, 2)).astype("float32"), "weights")
    ins = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    graph = helper.make_graph([node], "linear", [ins], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    array = WHOLE.to_numpy("float32")
    signature = infer_signature({"x": array}, {"y": np.zeros((1, 2), "float32")})
    mlflow.onnx.save_model(model, folder, signature=signature)
    return {"x": array}


def statsmodels(folder):
    from statsmodels.api import OLS

    model = OLS(TARGET, WHOLE).fit()
    signature = infer_signature(WHOLE, model.predict(WHOLE))
    mlflow.statsmodels.save_model(model, folder, signature=signature)
    return WHOLE


def prophet(folder):
    from prophet import Prophet

    days = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=60), "y": TARGET})
    # Without samples of its uncertainty, which are drawn anew each time.
    model = Prophet(uncertainty_samples=0).fit(days)
    asked = pd.DataFrame({"ds": pd.date_range("2024-03-01", periods=ROWS)})
    signature = infer_signature(asked, model.predict(asked))
    mlflow.prophet.save_model(model, folder, signature=signature)
    return asked


def spacy(folder):
    import spacy as package
    from spacy.training import Example

    model = package.blank("en")
    for label in ("good", "bad"):
        model.add_pipe("textcat") if "textcat" not in model.pipe_names else None
        model.get_pipe("textcat").add_label(label)
    texts = {"fine work": "good", "well done": "good", "broken again": "bad", "no use": "bad"}
    examples = [
        Example.from_dict(
            model.make_doc(text), {"cats": {each: float(each == label) for each in ("good", "bad")}}
        )
        for text, label in texts.items()
    ]
    optimizer = model.initialize(lambda: examples)
    for _ in range(5):
        model.update(examples, sgd=optimizer)
    asked = pd.DataFrame({"text": [*texts, "well, NA"] * 4})
    mlflow.spacy.save_model(model, folder, signature=infer_signature(asked))
    return asked


def sent(value):
    """Return a value as JSON says it; pandas' own JSON has fewer digits."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if isinstance(value, float) and np.isnan(value) else value


def main(flavour: str, folder: Path) -> None:
    asked = globals()[flavour](folder / "model")
    if isinstance(asked, dict):
        asked = {name: array[:ROWS] for name, array in asked.items()}
        request = {"inputs": {name: array.tolist() for name, array in asked.items()}}
    elif isinstance(asked, np.ndarray):
        asked = asked[:ROWS]
        request = {"inputs": asked.tolist()}
    else:
        asked = asked.head(ROWS)
        rows = [[sent(value) for value in row] for row in asked.itertuples(index=False)]
        request = {"dataframe_split": {"columns": list(asked), "data": rows}}
    (folder / "asked.json").write_text(json.dumps(request))
    written = io.StringIO()
    predictions_to_json(mlflow.pyfunc.load_model(str(folder / "model")).predict(asked), written)
    (folder / "answered.json").write_text(written.getvalue())


main(sys.argv[1], Path(sys.argv[2]))
