"""Fixtures of unit/images."""

from support.fixtures.images import part
