"""A model that is out of memory at load."""

import mlflow


class Starved(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        raise MemoryError

    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Starved())
