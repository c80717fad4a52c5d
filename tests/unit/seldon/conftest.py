"""Fixtures of unit/seldon."""

from support.fixtures.seldon import container, image, pod, resource
