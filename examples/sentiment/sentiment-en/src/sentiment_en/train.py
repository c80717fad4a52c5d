"""train.csv, a seed and a regularization in, a model logged to MLflow out, ready to be served."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import joblib
import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

from sentiment_en import model, step
from sentiment_en.model import Sentiment, clean
from sentiment_en.prepare import TARGET

PROJECT = Path(__file__).parents[2]
SERVED_WITH = (
    "mlflow",
    "scikit-learn",
    "vadersentiment",
    "joblib",
    "pandas",
    "numpy",
    "scipy",
)
WORD = r"\w[\w']*|[!?]"
"""What counts as a word: those two signs as well."""
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema([ColSpec(DataType.string, "sentiment"), ColSpec(DataType.double, "score")]),
)
EXAMPLE = pd.DataFrame(
    {
        "text": [
            "The crew was friendly and we landed early, thank you!",
            "Does this bus go to the airport?",
            "My flight was cancelled and nobody answers the phone.",
        ]
    }
)


def fit(frame: pd.DataFrame, *, seed: int, alpha: float) -> Sentiment:
    """A classifier that is the same for the same tweets, seed and regularization.

    A tweet counts by how sure its judges were, and each sentiment as much as another.
    """
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, token_pattern=WORD)
    regression = SGDClassifier(
        "log_loss",
        alpha=alpha,
        average=True,
        class_weight="balanced",
        max_iter=20,
        tol=None,
        random_state=seed,
    )
    texts = list(frame["text"])
    words.fit([clean(text) for text in texts])
    sentiment = Sentiment(words, regression)
    regression.fit(sentiment.features(texts), frame[TARGET], sample_weight=frame["confidence"])
    return sentiment


def log(sentiment: Sentiment) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id."""
    fitted = {"words": sentiment.words, "regression": sentiment.regression}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fitted.joblib"
        joblib.dump(fitted, path, compress=3)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=model.__file__,
            artifacts={"fitted": str(path)},
            signature=SIGNATURE,
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH],
        )
    mlflow.MlflowClient().log_model_artifact(logged.model_id, str(PROJECT / "serving.yaml"))
    return str(logged.model_id)


def main() -> None:
    """Train, log, and say where the model is."""
    sentiment = fit(
        pd.read_csv(step.input_from("prepare") / "train.csv", keep_default_na=False),
        seed=int(os.environ["SCHNITZEL_SEED"]),
        alpha=float(os.environ["SCHNITZEL_PARAM_ALPHA"]),
    )
    print(f"{len(sentiment.words.vocabulary_)} words and pairs of words")
    with mlflow.start_run():
        model_id = log(sentiment)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
