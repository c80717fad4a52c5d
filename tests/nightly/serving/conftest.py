"""Fixtures of nightly/serving."""

from support.fixtures.serving import saved_models, tensorflow_serving
