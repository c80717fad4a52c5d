"""Fixtures of node/seldon."""

from support.fixtures.seldon import (
    container,
    image,
    kube,
    place,
    pod,
    resource,
    seldon_crd,
    stand_in,
)
