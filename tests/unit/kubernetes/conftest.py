"""Fixtures of unit/kubernetes."""

from support.fixtures.kubernetes import kept, namespace, now, real
