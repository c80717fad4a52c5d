"""A logged model and test.csv in, its measures and figures out: in MLflow and on file."""

import mlflow
import numpy as np
import pandas as pd

from angler import figures, step
from angler.measure import measure
from angler.prepare import FEATURES, TARGET


def answers(uri: str, pages: pd.DataFrame) -> np.ndarray:
    """What the model at a URI answers, asked as it will be when served."""
    import keras  # here, so that nobody waits for TensorFlow who does not ask a model

    keras.config.disable_interactive_logging()  # no progress bars
    model = mlflow.pyfunc.load_model(uri)
    return np.asarray(model.predict(pages[list(FEATURES)].astype("float32"))).ravel()


def main() -> None:
    """Judge the new model on the held-out pages."""
    model = step.read("train", "model.json")
    pages = pd.read_csv(step.input_from("prepare") / "test.csv")
    truth = pages[TARGET].to_numpy()
    found = answers(model["uri"], pages)
    measures = measure(truth, found)
    with mlflow.start_run():
        mlflow.log_metrics(measures.metrics(), model_id=model["model_id"])
        mlflow.log_figure(figures.roc_curve(measures), "figures/roc_curve.png")
        matrix = figures.confusion_matrix(truth, found, measures.threshold)
        mlflow.log_figure(matrix, "figures/confusion_matrix.png")
    step.write("metrics.json", measures.metrics())
    for name, value in measures.metrics().items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
