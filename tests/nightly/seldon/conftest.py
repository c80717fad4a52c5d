"""Fixtures of nightly/seldon."""

from support.fixtures.seldon import (
    container,
    image_on_node as image,
    kube,
    place,
    resource,
    seldon_crd,
    stand_in,
)
