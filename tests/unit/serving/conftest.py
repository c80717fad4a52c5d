"""Fixtures of unit/serving."""

from support.fixtures.serving import iris, model_python, models
