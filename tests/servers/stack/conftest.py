"""Fixtures of servers/stack."""

from support.fixtures.stack import (
    _no_home_of_the_developer,
    program,
    supervisor,
    tmp_path,
)
