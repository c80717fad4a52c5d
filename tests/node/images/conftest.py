"""Fixtures of node/images."""

from support.fixtures.images import builder, cluster, crane, images, index
