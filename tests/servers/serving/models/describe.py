"""A model without a signature, which says what it was given."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow


class Describe(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        columns = getattr(model_input, "columns", None)
        shape = getattr(model_input, "shape", None)
        return [
            f"{type(model_input).__name__} {shape} {None if columns is None else list(columns)}"
        ]


mlflow.models.set_model(Describe())
