"""Fixtures of servers/serving."""

from support.fixtures.serving import (
    actor,
    attacked,
    describe,
    forest,
    gate,
    iris,
    model_python,
    models,
    serve,
    words,
)
