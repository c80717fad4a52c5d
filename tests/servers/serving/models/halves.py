"""Halves numbers, each alone."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow


class Halves(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["number"] / 2


mlflow.models.set_model(Halves())
