"""train.csv, a seed and a number of trees in, a model logged to MLflow out, ready to be served."""

import os
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier

from iris_forest import step
from iris_forest.prepare import TARGET

PROJECT = Path(__file__).parents[2]
SERVED_WITH = ("mlflow", "scikit-learn", "cloudpickle", "pandas", "numpy")


def fit(frame: pd.DataFrame, *, seed: int, trees: int) -> RandomForestClassifier:
    """A forest that is the same for the same data, seed and number of trees."""
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed)
    return forest.fit(frame.drop(columns=TARGET), frame[TARGET])


def log(forest: RandomForestClassifier, frame: pd.DataFrame) -> str:
    """Log the model with signature, example, exact requirements and serving.yaml; its id."""
    example = frame.drop(columns=TARGET).head(3)
    model = mlflow.sklearn.log_model(
        forest,
        name="model",
        signature=infer_signature(example, forest.predict(example)),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in SERVED_WITH],
        serialization_format="cloudpickle",  # the default, skops, refuses a random forest
    )
    mlflow.MlflowClient().log_model_artifact(model.model_id, str(PROJECT / "serving.yaml"))
    return str(model.model_id)


def main() -> None:
    """Train, log, and say where the model is."""
    frame = pd.read_csv(step.input_from("prepare") / "train.csv")
    forest = fit(
        frame,
        seed=int(os.environ["SCHNITZEL_SEED"]),
        trees=int(os.environ["SCHNITZEL_PARAM_TREES"]),
    )
    with mlflow.start_run():
        model_id = log(forest, frame)
    step.write("model.json", {"model_id": model_id, "uri": f"models:/{model_id}"})
    print(f"logged models:/{model_id}")


if __name__ == "__main__":
    main()
