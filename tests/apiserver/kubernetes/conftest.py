"""Fixtures of apiserver/kubernetes."""

from support.fixtures.kubernetes import client, namespace, now, proxied, proxy, real
