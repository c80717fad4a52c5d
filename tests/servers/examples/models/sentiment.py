"""Judge a text by its length, so that an answer tells whether it is this text's."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class Sentiment(PythonModel):
    def predict(self, context, model_input, params=None):
        lengths = [float(len(text)) for text in model_input["text"]]
        return pd.DataFrame({"sentiment": ["neutral"] * len(lengths), "score": lengths})


mlflow.models.set_model(Sentiment())
