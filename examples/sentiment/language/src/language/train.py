"""train.csv and the run's parameters in, a model logged to MLflow out, ready to be served.

Two things are learned: the languages, those that there are messages in, and the sharpness of the
probabilities, by which the messages' own languages are the most likely altogether.
"""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from language import model, step
from language.model import Detector

PROJECT = Path(__file__).parents[2]
SERVED_WITH = ("mlflow", "py3langid", "pandas", "numpy")
SHARPNESSES = np.geomspace(0.25, 4, 81)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema([ColSpec(DataType.string, "language"), ColSpec(DataType.double, "probability")]),
)
EXAMPLE = pd.DataFrame(
    {
        "text": [
            "Where is the nearest train station?",
            "Hvor ligger den nærmeste togstation?",
            "Wo ist der nächste Bahnhof?",
        ]
    }
)


def loss(detector: Detector, evidence: np.ndarray, truth: np.ndarray, sharpness: float) -> float:
    """The mean logarithmic loss of the true languages."""
    likely = detector.probabilities(evidence, sharpness)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(likely, model.LEAST)).mean())


def fit(frame: pd.DataFrame, *, seed: int, messages: int, odds: dict[str, float]) -> Detector:
    """A detector; its sharpness is learned from that many messages of each language at most."""
    detector = Detector(sorted(frame["language"].unique()), odds)
    drawn = frame.sample(frac=1, random_state=seed).groupby("language").head(messages)
    evidence = detector.evidence(list(drawn["text"]))
    truth = np.array([detector.languages.index(name) for name in drawn["language"]])
    detector.sharpness = float(
        min(SHARPNESSES, key=lambda each: loss(detector, evidence, truth, each))
    )
    return detector


def log(detector: Detector) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id."""
    learned = {
        "languages": detector.languages,
        "odds": detector.odds,
        "sharpness": detector.sharpness,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.json"
        path.write_text(json.dumps(learned))
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=model.__file__,
            artifacts={"detector": str(path)},
            signature=SIGNATURE,
            input_example=EXAMPLE,
            pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH],
        )
    mlflow.MlflowClient().log_model_artifact(logged.model_id, str(PROJECT / "serving.yaml"))
    return str(logged.model_id)


def main() -> None:
    """Train, log, and say where the model is."""
    expected = os.environ["SCHNITZEL_PARAM_EXPECTED"].split()
    detector = fit(
        pd.read_csv(step.input_from("prepare") / "train.csv", keep_default_na=False),
        seed=int(os.environ["SCHNITZEL_SEED"]),
        messages=int(os.environ["SCHNITZEL_PARAM_MESSAGES"]),
        odds=dict.fromkeys(expected, float(os.environ["SCHNITZEL_PARAM_ODDS"])),
    )
    print(f"{len(detector.languages)} languages, sharpness {detector.sharpness:.3f}")
    with mlflow.start_run():
        model_id = log(detector)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
