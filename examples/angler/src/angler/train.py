"""train.csv and the run's parameters in, a model logged to MLflow out, ready to be served."""

import os
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from angler import exported, network, step
from angler.prepare import FEATURES

PROJECT = Path(__file__).parents[2]
SERVED_WITH = ("mlflow", "tensorflow-cpu", "tensorflow", "keras", "numpy", "pandas")
"""Of the two TensorFlows, the one that is installed."""


def requirements() -> list[str]:
    """The exact versions of what the model is served with, as they are installed here."""
    found = []
    for name in SERVED_WITH:
        with suppress(PackageNotFoundError):
            found.append(f"{name}=={version(name)}")
    return found


def log(model: keras.Model, pages: pd.DataFrame, held_out: pd.DataFrame) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id.

    Beside it, the SavedModel of the same network, if that answers as the network does.
    """
    keras.config.disable_interactive_logging()  # no progress bars from here on
    float32 = np.dtype("float32")
    logged = mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=ModelSignature(
            inputs=Schema([TensorSpec(float32, (-1,), name) for name in FEATURES]),
            outputs=Schema([TensorSpec(float32, (-1,), exported.OUTPUT)]),
        ),
        input_example=network.tensors(pages.head(3)),
        pip_requirements=requirements(),
    )
    with tempfile.TemporaryDirectory() as beside:
        saved_model = Path(beside) / exported.FOLDER
        exported.save(model, saved_model, pages)
        apart = exported.check(model, saved_model, held_out)
        print(f"the SavedModel and the network are {apart:.1g} apart at most")
        shutil.copy(PROJECT / "serving.yaml", beside)
        mlflow.MlflowClient().log_model_artifacts(logged.model_id, beside)
    return str(logged.model_id)


def log_losses(run_id: str, losses: dict[str, list[float]]) -> None:
    """Log the losses of every epoch in one request."""
    metrics = [
        Metric(key=name, value=value, timestamp=0, step=epoch)
        for name, values in losses.items()
        for epoch, value in enumerate(values)
    ]
    mlflow.MlflowClient().log_batch(run_id, metrics=metrics)


def main() -> None:
    """Train, log, and say where the model is."""
    prepared = step.input_from("prepare")
    pages, held_out = (pd.read_csv(prepared / name) for name in ("train.csv", "test.csv"))
    model, losses = network.fit(
        pages,
        seed=int(os.environ["SCHNITZEL_SEED"]),
        epochs=int(os.environ["SCHNITZEL_PARAM_EPOCHS"]),
        learning_rate=float(os.environ["SCHNITZEL_PARAM_LEARNING_RATE"]),
    )
    with mlflow.start_run() as run:
        log_losses(run.info.run_id, losses)
        model_id = log(model, pages, held_out)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
