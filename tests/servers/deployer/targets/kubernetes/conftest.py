"""Fixtures of servers/deployer/targets/kubernetes."""

from support.fixtures.kubernetes import kept, namespace, real
