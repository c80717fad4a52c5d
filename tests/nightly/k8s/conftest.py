"""Fixtures of nightly/k8s."""

from support.fixtures.k8s import cluster
