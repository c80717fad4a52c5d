"""Fixtures of node/seldon."""

from support.fixtures.seldon import image_on_node as image, kube, place, seldon_crd, stand_in
