"""Fixtures of node/smoke."""

from support.fixtures.images import cluster, crane, images
