"""Fixtures of this room: what needs no pod, on a control plane without a node."""

from support.fixtures.kubernetes import (
    client,
    control_plane as real,
    namespace,
    now,
    proxied,
    proxy,
)
