"""train.csv and the run's parameters in, a model logged to MLflow out, ready to be served."""

import os
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

from angler import network, step
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


def log(model: keras.Model, pages: pd.DataFrame) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id."""
    keras.config.disable_interactive_logging()  # no progress bars from here on
    float32 = np.dtype("float32")
    logged = mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=ModelSignature(
            inputs=Schema([TensorSpec(float32, (-1,), name) for name in FEATURES]),
            outputs=Schema([TensorSpec(float32, (-1,))]),
        ),
        input_example=network.tensors(pages.head(3)),
        pip_requirements=requirements(),
    )
    mlflow.MlflowClient().log_model_artifact(logged.model_id, str(PROJECT / "serving.yaml"))
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
    pages = pd.read_csv(step.input_from("prepare") / "train.csv")
    model, losses = network.fit(
        pages,
        seed=int(os.environ["SCHNITZEL_SEED"]),
        epochs=int(os.environ["SCHNITZEL_PARAM_EPOCHS"]),
        learning_rate=float(os.environ["SCHNITZEL_PARAM_LEARNING_RATE"]),
    )
    with mlflow.start_run() as run:
        log_losses(run.info.run_id, losses)
        model_id = log(model, pages)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
