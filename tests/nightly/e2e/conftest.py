"""Fixtures of nightly/e2e."""

from support.fixtures.e2e import make_platform, quick
