"""Fixtures of servers/e2e."""

from support.fixtures.cli import home, schnitzel
from support.fixtures.e2e import make_platform, quick
