"""Fixtures of unit/deployer/config."""

from support.fixtures.settings import platform_home, write
