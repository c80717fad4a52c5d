"""A model whose process dies while it loads."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import os
import signal

import mlflow


class Crashing(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        os.kill(os.getpid(), signal.SIGSEGV)

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Crashing())
