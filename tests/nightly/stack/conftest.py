"""Fixtures of nightly/stack."""

from support.fixtures.stack import _no_home_of_the_developer, tmp_path
