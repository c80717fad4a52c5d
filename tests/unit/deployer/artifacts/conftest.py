"""Fixtures of unit/deployer/artifacts."""

from support.fixtures.artifacts import artifacts, folder
