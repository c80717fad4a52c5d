"""Report what no informer reports: that the gateway or the cluster is silent, or answers again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.observe.gateway import Gateway

LOOK_SECONDS: Final = 1.0


class Reach:
    """A look at what all deployments of a cluster depend on, compared with the look before.

    Args:
        cache: The objects of the cluster.
        gateway: The gateway of the cluster.
        changed: Called with the id of each deployment of the cluster.
    """

    def __init__(self, cache: Cache, gateway: Gateway, changed: Callable[[str], None]) -> None:
        self._cache = cache
        self._gateway = gateway
        self._changed = changed
        self._before: tuple[bool, bool] | None = None

    def look(self) -> None:
        """Look once; the first look reports every deployment: a pass may have been first."""
        now = (self._cache.blind(), self._gateway.answers())
        if now != self._before:
            for deployment in sorted(self._cache.seen()):
                self._changed(deployment)
            self._before = now
