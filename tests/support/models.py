"""Real models, logged to a real MLflow in one go.

Each is {"name": ..., "kind": ..., "say": ..., "serving": {...}}, and maybe "beside", a folder whose
content is logged with it; all but those of scikit-learn have the same requirements, so that one
environment serves them.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from support.run import forks

REQUIREMENTS = ["mlflow==3.17.2", "scikit-learn==1.9.1", "cloudpickle==3.1.2"]
"""What a model of scikit-learn asks for."""

SMALL = ["mlflow-skinny==3.17.2", "pandas==2.3.3", "cloudpickle==3.1.2"]
"""What the others ask for: half as many packages to install, and sooner imported."""


def log_models(url: str, models: list[dict[str, Any]]) -> list[int]:
    """Log and register models; returns their versions, in order. Takes about 0.5 s for each."""
    return forks.call(_log_models, url, models)


def _log_models(url: str, models: list[dict[str, Any]]) -> list[int]:
    import mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        return [_log(mlflow, model) for model in models]


def _log(mlflow: Any, model: dict[str, Any]) -> int:
    import numpy as np
    import pandas as pd
    import yaml
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    frame, target = load_iris(return_X_y=True, as_frame=True)
    requirements = model.get("requirements", REQUIREMENTS if model["kind"] == "sklearn" else SMALL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        if model["kind"] == "sklearn":
            trained = LogisticRegression(C=model.get("say", 1), max_iter=500).fit(frame, target)
            mlflow.sklearn.save_model(
                trained,
                path,
                serialization_format="cloudpickle",
                signature=infer_signature(frame, trained.predict(frame)),
                input_example=frame.head(2),
                pip_requirements=requirements,
            )
        else:
            example = pd.DataFrame({"x": [1.0, 2.0]})
            mlflow.pyfunc.save_model(
                path,
                python_model=_python_model(
                    model["kind"], model.get("say", 1), model.get("path", "/")
                ),
                signature=infer_signature(example, np.array([1, 2])),
                input_example=example,
                pip_requirements=requirements,
            )
        if "serving" in model:
            (path / "serving.yaml").write_text(yaml.safe_dump(model["serving"]))
        if "serving_text" in model:
            (path / "serving.yaml").write_text(model["serving_text"])
        if "beside" in model:
            shutil.copytree(model["beside"], path, dirs_exist_ok=True)
        if model.get("python"):
            text = (path / "python_env.yaml").read_text()
            lines = [f"python: {model['python']}" if x.startswith("python:") else x
                     for x in text.splitlines()]  # fmt: skip
            (path / "python_env.yaml").write_text("\n".join(lines) + "\n")
        mlflow.log_artifacts(str(path), f"{model['name']}-{model.get('say', 1)}")
        run = mlflow.active_run().info
        source = f"{run.artifact_uri}/{model['name']}-{model.get('say', 1)}"
    client = mlflow.MlflowClient()
    with contextlib.suppress(mlflow.MlflowException):
        client.create_registered_model(model["name"])
    return int(client.create_model_version(model["name"], source, run.run_id).version)


def _python_model(kind: str, say: int, path: str) -> Any:  # noqa: C901 - a list of fates
    """A model whose answer is `say` for each row, or that fails in one way or another.

    The kind "dies-at-load" does so as long as there is something at `path`, and "waits-at-load"
    waits as long as there is nothing.
    """
    from mlflow.pyfunc import PythonModel

    class Model(PythonModel):
        def load_context(self, context: Any) -> None:  # noqa: ARG002
            import os
            import time
            from pathlib import Path

            if kind == "load-error":
                raise ValueError("cannot open the vault with password=hunter2")
            if kind == "slow-load":
                time.sleep(600)
            while kind == "waits-at-load" and not Path(path).exists():
                time.sleep(0.1)
            if kind == "dies-at-load" and Path(path).exists():
                os._exit(3)
            if kind == "eats-memory":
                self.eaten = [bytearray(50_000_000) for _ in range(100)]

        def predict(self, _: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002
            import os
            import time

            import numpy as np

            if kind == "slow-answer":
                time.sleep(600)
            if kind == "waits-5-ms":
                time.sleep(0.005)
            if kind == "takes-its-time":
                time.sleep(0.25)
            if kind == "refuses-example":
                raise RuntimeError("the example is not for me")
            if kind == "answers-text":
                return np.array(["no number"] * len(model_input))
            if kind == "raises-at-seven" and (model_input["x"] == 7).any():
                raise RuntimeError("seven is not for me")
            if kind == "dies-at-minus-one" and (model_input["x"] == -1).any():
                os._exit(4)
            return np.full(len(model_input), say)

    return Model()
