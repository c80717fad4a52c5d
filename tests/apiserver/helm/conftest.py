"""Fixtures of apiserver/helm."""

from support.fixtures.helm import (
    charts,
    folder,
    helm,
    one,
    pytest_generate_tests,
    release,
    render,
    values_of,
)
