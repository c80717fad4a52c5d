"""A model that wants more memory at load than a limit may allow."""

import time

import mlflow


class Hungry(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.held = bytearray(b"x" * (700 * 2**20))
        time.sleep(2)

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Hungry())
