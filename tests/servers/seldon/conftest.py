"""Fixtures of servers/seldon."""

from support.fixtures.serving import models
