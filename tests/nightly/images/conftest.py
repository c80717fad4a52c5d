"""Fixtures of nightly/images."""

from support.fixtures.serving import models
