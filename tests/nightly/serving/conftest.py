"""Fixtures of nightly/serving."""

from support.fixtures.serving import (
    attacked,
    front,
    model_python,
    models,
    saved_models,
    serve,
    tensorflow_serving,
)
