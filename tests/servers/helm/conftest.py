"""Fixtures of servers/helm."""

from support.fixtures.helm import charts, folder, helm, pytest_generate_tests
