"""Fixtures of unit/deployer/targets/kubernetes."""

from support.fixtures.kubernetes import kept, namespace, now, real
