"""Fixtures of node/deployer/targets/kubernetes."""

from support.fixtures.kubernetes import client, namespace, real
