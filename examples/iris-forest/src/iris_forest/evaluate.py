"""A logged model and test.csv in, its metrics and confusion matrix out: in MLflow and on file."""

import matplotlib as mpl

mpl.use("agg")

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score

from iris_forest import step
from iris_forest.prepare import TARGET


def measure(uri: str, test: pd.DataFrame) -> tuple[dict[str, float], list[str]]:
    """Metrics of the model at a URI, asked as it will be when served, and what it answered."""
    answers = list(mlflow.pyfunc.load_model(uri).predict(test.drop(columns=TARGET)))
    metrics = {
        "accuracy": float(accuracy_score(test[TARGET], answers)),
        "f1": float(f1_score(test[TARGET], answers, average="macro")),
    }
    return metrics, answers


def confusion_matrix(test: pd.DataFrame, answers: list[str]) -> Figure:
    """Which species are taken for which."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(test[TARGET], answers, ax=figure.subplots())
    return figure


def main() -> None:
    """Judge the new model on the held-out rows."""
    model = step.read("train", "model.json")
    test = pd.read_csv(step.input_from("prepare") / "test.csv")
    metrics, answers = measure(model["uri"], test)
    with mlflow.start_run():
        mlflow.log_metrics(metrics, model_id=model["model_id"])
        mlflow.log_figure(confusion_matrix(test, answers), "figures/confusion_matrix.png")
    step.write("metrics.json", metrics)
    print(metrics)


if __name__ == "__main__":
    main()
