"""A model that cannot be loaded; its message carries a secret."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow


class Broken(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        raise RuntimeError("no table at https://bob:hunter2@db.example/x with token=abc123")

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Broken())
