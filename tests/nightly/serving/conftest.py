"""Fixtures of nightly/serving."""

from support.fixtures.serving import (
    actor,
    describe,
    forest,
    front,
    gate,
    iris,
    model_python,
    models,
    saved_models,
    serve,
    tensorflow_serving,
    words,
)
