"""Fixtures of nightly/serving."""

from support.fixtures.serving import (
    front,
    model_python,
    models,
    saved_models,
    serve,
    tensorflow_serving,
)
