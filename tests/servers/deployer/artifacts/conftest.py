"""Fixtures of servers/deployer/artifacts."""

from support.fixtures.artifacts import artifacts, folder
