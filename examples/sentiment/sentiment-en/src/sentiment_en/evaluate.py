"""A logged model and held-out texts in, its measures and figures out: in MLflow and on file.

The measures are of the held-out tweets, which are of the same kinds as those that were learned
from. `sentences.csv` holds sixty everyday sentences that were written for this example: how well
the model does on what it was not made for is logged beside, and decides nothing.
"""

from pathlib import Path

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score

from sentiment_en import step
from sentiment_en.prepare import TARGET

SENTENCES = Path(__file__).with_name("sentences.csv")


def metrics_of(truth: pd.Series, answers: pd.Series) -> dict[str, float]:
    """How often answers are right, and the mean of the F1 scores of the three sentiments."""
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "f1": float(f1_score(truth, answers, average="macro")),
    }


def measure(uri: str, test: pd.DataFrame) -> tuple[dict[str, float], pd.Series]:
    """Metrics of the model at a URI, asked as it will be when served, and what it answered."""
    answers = mlflow.pyfunc.load_model(uri).predict(test[["text"]])["sentiment"]
    return metrics_of(test[TARGET], answers), answers


def confusion_matrix(test: pd.DataFrame, answers: pd.Series) -> Figure:
    """Which sentiments are taken for which."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(test[TARGET], answers, ax=figure.subplots())
    return figure


def main() -> None:
    """Judge the new model on the held-out tweets, and on everyday sentences."""
    model = step.read("train", "model.json")
    test = pd.read_csv(step.input_from("prepare") / "test.csv", keep_default_na=False)
    metrics, answers = measure(model["uri"], test)
    everyday, _ = measure(model["uri"], pd.read_csv(SENTENCES))
    metrics |= {f"sentences_{name}": value for name, value in everyday.items()}
    with mlflow.start_run():
        mlflow.log_metrics(metrics, model_id=model["model_id"])
        mlflow.log_figure(confusion_matrix(test, answers), "figures/confusion_matrix.png")
    step.write("metrics.json", metrics)
    for name, value in metrics.items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
