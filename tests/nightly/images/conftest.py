"""Fixtures of nightly/images."""

from support.fixtures.images import cluster
