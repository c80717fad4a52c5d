"""Adds up columns that integers name, as a frame has that was made of an array."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow
from mlflow.pyfunc import PythonModel


class Numbered(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input[0] + model_input[1]


mlflow.models.set_model(Numbered())
