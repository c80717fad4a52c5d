"""Fixtures of servers/images."""

from support.fixtures.images import cluster, crane, part
