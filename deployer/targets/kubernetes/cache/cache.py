"""Read all our objects of a cluster without a request to it.

A read never waits for the network. Before the first listings are complete, and after a long silence
of the cluster, a read raises an error instead of showing nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from typing import Final

from deployer.targets.kubernetes.cache.informer import Informer
from deployer.targets.kubernetes.cache.objects import PLATFORM, LiveObject
from deployer.targets.kubernetes.cache.store import Changed, Deleted, Store
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import ApiError, Unavailable
from deployer.targets.kubernetes.client.kinds import Kind

KINDS: Final = (
    kinds.MODEL_DEPLOYMENT,
    kinds.CONFIG_MAP,
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.DISRUPTION_BUDGET,
    kinds.AUTOSCALER,
    kinds.HTTP_ROUTE,
    kinds.POD,
)
LISTINGS: Final = 2
"""Listings at once: each holds a page in memory, and the server works hard for it."""


class Cache:
    """Every object with our platform's label in these namespaces.

    Args:
        client: Lists and watches.
        platform: The platform's id.
        namespaces: The watched namespaces; `[""]` for the whole cluster, by one watch per kind.
        watched: The kinds.
        changed: Called with a deployment's id whenever an object of the deployment changed; must
            return soon.
        deleted: Called with each deleted object, and whether the Deployer deleted it.
    """

    def __init__(
        self,
        client: Client,
        platform: str,
        namespaces: Collection[str],
        watched: Sequence[Kind] = KINDS,
        changed: Changed | None = None,
        deleted: Deleted | None = None,
    ) -> None:
        self.platform = platform
        self._client = client
        self._kinds = tuple(watched)
        self._store = Store(changed, deleted)
        self._informers: dict[tuple[str, str], Informer] = {}
        self._by_namespace: dict[str, list[Informer]] = {}
        self._by_kind: dict[str, list[Informer]] = {kind.name: [] for kind in watched}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(LISTINGS)
        self._started = False
        for namespace in namespaces:
            self.add(namespace)

    def start(self) -> None:
        """Begin to list and watch; `wait` waits for the first listings."""
        self._started = True
        for informer in self._all():
            informer.start()

    def add(self, namespace: str) -> None:
        """Watch one more namespace, unless it is watched already."""
        with self._lock:
            if namespace in self._by_namespace:
                return
            labels, turns = f"{PLATFORM}={self.platform}", self._turns
            made = [
                Informer(self._client, self._store, kind, namespace, labels, turns)
                for kind in self._kinds
            ]
            for informer in made:
                self._informers[informer.kind.name, namespace] = informer
                self._by_kind[informer.kind.name].append(informer)
                if self._started:
                    informer.start()
            self._by_namespace[namespace] = made

    def watches(self, namespace: str) -> bool:
        """Decide whether a namespace is watched."""
        return namespace in self._by_namespace or "" in self._by_namespace

    def wait(self, seconds: float) -> bool:
        """Wait for the first listings, and return whether all completed in time."""
        deadline = time.monotonic() + seconds
        return all(i.wait(max(0.0, deadline - time.monotonic())) for i in self._all())

    def close(self, seconds: float = 2.0) -> None:
        """End all watches."""
        deadline = time.monotonic() + seconds
        for informer in self._all():
            informer.close()
        for informer in self._all() if self._started else ():
            informer.join(max(0.0, deadline - time.monotonic()))

    def of(self, namespace: str, deployment: str) -> tuple[LiveObject, ...]:
        """Return all objects of a deployment in a namespace, pods included.

        Raises:
            Unavailable: The cache does not know them (yet, or any more); an ApiError says why.
        """
        self._raise_if_blind(namespace)
        return tuple(o for o in self._store.of(deployment) if o.key.namespace == namespace)

    def find(self, kind: Kind, deployment: str) -> LiveObject | None:
        """Find the object of a kind, in any namespace, that has a deployment's own name."""
        self._raise_if_blind_anywhere(kind)
        return next(
            (
                obj
                for obj in self._store.of(deployment)
                if obj.kind == kind and obj.key.name == deployment
            ),
            None,
        )

    def all(self, kind: Kind) -> list[LiveObject]:
        """Return every object of a kind, in every namespace; raises as `of` does."""
        self._raise_if_blind_anywhere(kind)
        return self._store.all(kind)

    def deployments(self) -> set[str]:
        """Return the ids of all deployments with an object; raises as `of` does."""
        self._raise_if_blind_anywhere()
        return self._store.deployments()

    def seen(self) -> set[str]:
        """Return the ids of all deployments with an object, as far as they were seen."""
        return self._store.deployments()

    def blind(self) -> bool:
        """Return whether any kind is not known (yet, or any more)."""
        try:
            self._raise_if_blind_anywhere()
        except ApiError:
            return True
        return False

    def record_write(self, kind: Kind, obj: Object) -> None:
        """Take in the server's answer to our own write; ignore an object without our label."""
        meta = obj["metadata"]
        if (meta.get("labels") or {}).get(PLATFORM) == self.platform:
            for namespace in (meta.get("namespace", ""), ""):
                informer = self._informers.get((kind.name, namespace))
                if informer:
                    informer.record_write(obj)
                    return

    def mark_deleting(self, uid: str) -> None:
        """Note that the Deployer is about to delete the object of this uid."""
        self._store.mark_deleting(uid)

    def _all(self) -> list[Informer]:
        with self._lock:
            return list(self._informers.values())

    def _raise_if_blind_anywhere(self, kind: Kind | None = None) -> None:
        for informer in self._by_kind.get(kind.name, ()) if kind else self._all():
            informer.raise_if_blind()

    def _raise_if_blind(self, namespace: str, kind: Kind | None = None) -> None:
        for informer in self._watching(namespace):
            if kind is None or informer.kind == kind:
                informer.raise_if_blind()

    def _watching(self, namespace: str) -> list[Informer]:
        """Find the informers of a namespace, one of each kind."""
        found = self._by_namespace.get(namespace) or self._by_namespace.get("")
        if not found:
            raise Unavailable(f"{self._kinds[0].plural} in {namespace} are not watched.")
        return found
