"""Fixtures of node/k8s."""

from support.fixtures.k8s import cluster, namespace
