"""Fixtures of unit/stack."""

from support.fixtures.stack import _no_home_of_the_developer, free_port, tmp_path
