"""Fixtures of apiserver/seldon: there is no kubelet, and its part is played."""

from support.fixtures.seldon import (
    container,
    image,
    kube_without_node as kube,
    played as place,
    resource,
    seldon_crd,
    stand_in,
    stand_in_without_webhook,
    unguarded,
)
