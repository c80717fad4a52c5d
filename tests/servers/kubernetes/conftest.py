"""Fixtures of servers/kubernetes."""

from support.fixtures.kubernetes import kept, namespace, real
