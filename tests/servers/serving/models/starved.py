"""A model that is out of memory at load."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow


class Starved(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        raise MemoryError

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Starved())
