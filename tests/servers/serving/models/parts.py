"""A model of parts: code beside it, an artifact, params, and a column of each type."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel


class Parts(PythonModel):
    def load_context(self, context):
        self.prefix = Path(context.artifacts["prefix"]).read_text(encoding="utf-8")

    def predict(self, context, model_input, params=None):
        from wording import worded

        rows = model_input.to_dict(orient="records")
        return [f"{self.prefix} {params['mark']} {worded(row)}" for row in rows]


mlflow.models.set_model(Parts())
