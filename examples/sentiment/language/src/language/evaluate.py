"""A logged model and test.csv in, its measures and figures out: in MLflow and on file."""

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from language import step

ROUTED = ("en", "da")
"""The languages that there are models of sentiment for."""
BINS = 10


def reliability(test: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """By tenths of the probability: how many answers, how sure, and how many were right."""
    right = (test["language"] == answers["language"]).rename("right")
    tenth = np.minimum((answers["probability"] * BINS).astype(int), BINS - 1)
    grouped = pd.concat([answers["probability"], right], axis=1).groupby(tenth.rename("tenth"))
    return grouped.agg(
        count=("right", "size"), probability=("probability", "mean"), right=("right", "mean")
    )


def metrics_of(test: pd.DataFrame, answers: pd.DataFrame) -> dict[str, float]:
    """How often answers are right, and how far from that their probabilities are.

    The calibration error is the distance between probability and share of right answers, averaged
    over the answers.
    """
    truth, told = test["language"], answers["language"]
    tenths = reliability(test, answers)
    apart = (tenths["probability"] - tenths["right"]).abs()
    found = {
        "accuracy": float((truth == told).mean()),
        "balanced_accuracy": float((truth == told).groupby(truth).mean().mean()),
        "calibration_error": float((apart * tenths["count"]).sum() / len(test)),
    }
    for name in ROUTED:
        found[f"recall_{name}"] = float((told[truth == name] == name).mean())
        found[f"precision_{name}"] = float((truth[told == name] == name).mean())
    return found


def measure(uri: str, test: pd.DataFrame) -> tuple[dict[str, float], pd.DataFrame]:
    """Metrics of the model at a URI, asked as it will be when served, and what it answered."""
    answers = mlflow.pyfunc.load_model(uri).predict(test[["text"]])
    return metrics_of(test, answers), answers


def confusions(test: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Which languages are taken for which, the most frequent first."""
    pairs = pd.DataFrame({"language": test["language"], "taken_for": answers["language"]})
    wrong = pairs[pairs["language"] != pairs["taken_for"]]
    return wrong.value_counts().rename("texts").reset_index()


def figure(tenths: pd.DataFrame) -> Figure:
    """How many answers are right, by their probability."""
    made = Figure(figsize=(5, 4), layout="constrained")
    axes = made.subplots()
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot(tenths["probability"], tenths["right"], marker="o")
    axes.set(xlabel="probability", ylabel="share of right answers")
    return made


def main() -> None:
    """Judge the new model on the held-out messages."""
    model = step.read("train", "model.json")
    test = pd.read_csv(step.input_from("prepare") / "test.csv", keep_default_na=False)
    metrics, answers = measure(model["uri"], test)
    with mlflow.start_run():
        mlflow.log_metrics(metrics, model_id=model["model_id"])
        mlflow.log_figure(figure(reliability(test, answers)), "figures/reliability.png")
        mlflow.log_text(confusions(test, answers).to_csv(index=False), "confusions.csv")
    step.write("metrics.json", metrics)
    for name, value in metrics.items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
