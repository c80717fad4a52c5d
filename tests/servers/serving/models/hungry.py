"""A model that wants more memory at load than a limit may allow."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import time

import mlflow


class Hungry(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.held = bytearray(b"x" * (700 * 2**20))
        time.sleep(600)

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Hungry())
