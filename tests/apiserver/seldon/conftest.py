"""Fixtures of apiserver/seldon: there is no kubelet, and its part is played."""

from support.fixtures.seldon import (
    container,
    image,
    resource,
    seldon_crd,
    stand_in,
    stand_in_without_webhook,
    unguarded,
)
from support.fixtures.seldon import kube_without_node as kube
from support.fixtures.seldon import played as place
