"""Ports of loopback that nobody holds, and that no other process of the tests is given."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from functools import cache

BLOCKS = range(11_000, 20_000, 300)
"""Below the ports that the kernel and the local target choose from."""


def free_port() -> int:
    """Find a port of this process's own block on which nothing listens."""
    ports = _ports()
    for port in itertools.islice(ports, BLOCKS.step):
        with socket.socket() as probe:
            if _binds(probe, port):
                return port
    raise AssertionError("every port of this process of the tests is taken")


@cache
def _ports() -> Iterator[int]:
    """Take a block for as long as this process lives, and go through it in a circle."""
    for first in BLOCKS:
        claim = socket.socket()
        if _binds(claim, first):
            _claims.append(claim)
            return itertools.cycle(range(first + 1, first + BLOCKS.step))
        claim.close()
    raise AssertionError("other processes of the tests have every block of ports")


_claims: list[socket.socket] = []
"""The first port of a block is held and never listened on: the kernel gives it to one process."""


def _binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
