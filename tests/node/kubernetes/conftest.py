"""Fixtures of node/kubernetes."""

from support.fixtures.kubernetes import client, namespace, real
