"""train.csv and the run's parameters in, a model logged to MLflow out, ready to be served."""

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
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from sentiment_da import model, step

PROJECT = Path(__file__).parents[2]
SERVED_WITH = ("mlflow", "scikit-learn", "joblib", "pandas", "numpy", "scipy")
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema([ColSpec(DataType.string, "sentiment"), ColSpec(DataType.double, "score")]),
)
EXAMPLE = pd.DataFrame(
    {
        "text": [
            "Tusind tak, det var en dejlig aften!",
            "Toget kører fra spor fire.",
            "Maden var dårlig, og vi blev meget skuffede.",
        ]
    }
)


def fit(frame: pd.DataFrame, *, seed: int, alpha: float, unrated_words: int) -> Pipeline:
    """A regression on the parts of words, the same for the same words and parameters.

    Of the unrated words it learns from so many, drawn by the seed.
    """
    rated, unrated = (frame[frame["valence"] != 0], frame[frame["valence"] == 0])
    drawn = unrated.sample(min(unrated_words, len(unrated)), random_state=seed)
    learned = pd.concat([rated, drawn])
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 6), sublinear_tf=True)
    return make_pipeline(parts, Ridge(alpha=alpha, solver="sparse_cg", tol=1e-5)).fit(
        learned["word"], learned["valence"]
    )


def log(valence: Pipeline) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "valence.joblib"
        joblib.dump(valence, path, compress=3)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=model.__file__,
            artifacts={"valence": str(path)},
            signature=SIGNATURE,
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH],
        )
    mlflow.MlflowClient().log_model_artifact(logged.model_id, str(PROJECT / "serving.yaml"))
    return str(logged.model_id)


def main() -> None:
    """Train, log, and say where the model is."""
    valence = fit(
        pd.read_csv(step.input_from("prepare") / "train.csv", keep_default_na=False),
        seed=int(os.environ["SCHNITZEL_SEED"]),
        alpha=float(os.environ["SCHNITZEL_PARAM_ALPHA"]),
        unrated_words=int(os.environ["SCHNITZEL_PARAM_UNRATED_WORDS"]),
    )
    print(f"{len(valence[0].vocabulary_)} parts of words")
    with mlflow.start_run():
        model_id = log(valence)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
