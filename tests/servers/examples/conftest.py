"""Fixtures of servers/examples."""

from support.fixtures.serving import model_python
