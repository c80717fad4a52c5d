"""Fixtures of apiserver/kubernetes: what needs no pod, on a control plane without a node."""

from support.fixtures.kubernetes import client, namespace, now, proxied, proxy
from support.fixtures.kubernetes import control_plane as real
