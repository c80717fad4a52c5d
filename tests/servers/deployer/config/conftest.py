"""Fixtures of servers/deployer/config."""

from support.fixtures.settings import platform_home, write
