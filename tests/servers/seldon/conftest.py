"""Fixtures of servers/seldon."""

from support.fixtures.seldon import pod
