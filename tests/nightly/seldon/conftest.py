"""Fixtures of nightly/seldon."""

from support.fixtures.seldon import container, kube, place, resource, seldon_crd, stand_in
from support.fixtures.seldon import image_on_node as image
