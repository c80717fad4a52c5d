"""The record as a plugin, for tests that tests/conftest.py is not above of."""

from support.record import register as pytest_configure

__all__ = ["pytest_configure"]
