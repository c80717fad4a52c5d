"""Tell the language that a text begins with, and how sure: "en 0.9 Good morning"."""

# ruff: noqa: ARG002, TID253
# A model is a program of its own, and the signature of its methods is MLflow's.

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class Language(PythonModel):
    def predict(self, context, model_input, params=None):
        begins = [text.split() for text in model_input["text"]]
        return pd.DataFrame(
            {
                "language": [words[0] for words in begins],
                "probability": [float(words[1]) for words in begins],
            }
        )


mlflow.models.set_model(Language())
