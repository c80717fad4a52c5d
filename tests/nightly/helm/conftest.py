"""Fixtures of nightly/helm."""

from support.fixtures.images import cluster
