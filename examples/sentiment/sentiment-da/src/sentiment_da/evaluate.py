"""A logged model, held-out words and written sentences in, its measures and figures out.

`sentences.csv` holds 120 everyday sentences, forty of each sentiment, that were written for this
example: few, and by one person, but the only measure of what the model is for. Beside it stand
measures of the held-out words. Both go to MLflow and on file.
"""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.pyfunc import PyFuncModel
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score, roc_auc_score

from sentiment_da import step

SENTENCES = Path(__file__).with_name("sentences.csv")
TARGET = "sentiment"


def metrics_of(truth: pd.Series, answers: pd.Series) -> dict[str, float]:
    """How often answers are right, and the mean of the F1 scores of the three sentiments."""
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "f1": float(f1_score(truth, answers, average="macro")),
    }


def measure(model: PyFuncModel, sentences: pd.DataFrame) -> tuple[dict[str, float], pd.Series]:
    """Metrics of a model on sentences, asked as it will be when served, and what it answered."""
    answers = model.predict(sentences[["text"]])[TARGET]
    return metrics_of(sentences[TARGET], answers), answers


def measure_words(model: PyFuncModel, words: pd.DataFrame) -> dict[str, float]:
    """Metrics of a model on words that it has not learned from.

    `words_auc` is the probability that a positive word has a higher score than a negative one,
    `words_f1` compares the three sentiments, with the unrated words as the neutral ones.
    """
    answers = model.predict(words[["word"]].rename(columns={"word": "text"}))
    valence = words["valence"].to_numpy()
    truth = np.select([valence < 0, valence > 0], ["negative", "positive"], "neutral")
    rated = valence != 0
    return {
        "words_auc": float(roc_auc_score(valence[rated] > 0, answers["score"][rated])),
        "words_f1": float(f1_score(truth, answers[TARGET], average="macro")),
    }


def confusion_matrix(truth: pd.Series, answers: pd.Series) -> Figure:
    """Which sentiments are taken for which."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(truth, answers, ax=figure.subplots())
    return figure


def main() -> None:
    """Judge the new model on the sentences and on the held-out words."""
    logged = step.read("train", "model.json")
    model = mlflow.pyfunc.load_model(logged["uri"])
    sentences = pd.read_csv(SENTENCES)
    metrics, answers = measure(model, sentences)
    test = pd.read_csv(step.input_from("prepare") / "test.csv", keep_default_na=False)
    metrics |= measure_words(model, test)
    with mlflow.start_run():
        mlflow.log_metrics(metrics, model_id=logged["model_id"])
        figure = confusion_matrix(sentences[TARGET], answers)
        mlflow.log_figure(figure, "figures/confusion_matrix.png")
    step.write("metrics.json", metrics)
    for name, value in metrics.items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
