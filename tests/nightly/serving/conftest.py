"""Fixtures of nightly/serving."""

from support.fixtures.serving import front, models, saved_models, tensorflow_serving
