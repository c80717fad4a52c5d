"""In: records. Out: the same records after a restart, as ModelDeployments of a cluster.

Every write is on condition that the object is as it was read; it is made only where nobody
deleted it, for deleting it is a person's word to retire the deployment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from deployer.errors import DeletedByHand
from deployer.state import Record
from deployer.status import Status
from deployer.targets.kubernetes import crd
from deployer.targets.kubernetes.apierrors import Conflict, Exists, Taken
from deployer.targets.kubernetes.cache import Cache
from deployer.targets.kubernetes.connection import Client
from deployer.targets.kubernetes.crd import RecordUnreadable
from deployer.targets.kubernetes.kinds import MODEL_DEPLOYMENT
from deployer.targets.kubernetes.objects import LiveObject


class ClusterRecords:
    """All records of one platform in one cluster, in the interface of `deployer.records`.

    Args:
        client: writes; guarded, where a lease decides who may.
        cache: reads.
        namespace_of: the namespace of an environment's deployments, for a project.
    """

    def __init__(
        self, client: Client, cache: Cache, namespace_of: Callable[[str, str], str]
    ) -> None:
        self._client = client
        self._cache = cache
        self._namespace_of = namespace_of
        self._lock = threading.Lock()
        self._read: dict[str, tuple[bytes, Record]] = {}
        self._deleted: set[str] = set()

    def load(self, key: str) -> Record | None:
        """The record of a deployment, or None if there is none.

        Raises:
            Unavailable: it is not known now whether there is one.
            RecordUnreadable: it cannot be read.
        """
        live = self.object(key)
        return None if live is None else self._record(live)

    def all(self) -> list[Record]:
        """Every record that can be read, in no order; raises Unavailable as `load` does."""
        found = []
        for live in self._cache.all(MODEL_DEPLOYMENT):
            try:
                found.append(self._record(live))
            except RecordUnreadable:
                continue
        return found

    def save(self, record: Record) -> None:
        """Keep a record; writes only if it changed.

        Raises:
            DeletedByHand: somebody deleted the object, and nobody allowed to make it again.
            Taken: the object belongs to another platform.
            Conflict: it was changed since it was read: look again.
            ApiError: the cluster did not take it.
        """
        live = self.object(record.id)
        if live is None:
            self._create(record)
        elif self._record(live) != record:
            operations: list[crd.Object] = [
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": live.resource_version,
                },
                {"op": "replace", "path": "/spec/record", "value": crd.body(record)},
            ]
            changed = self._client.json_patch(
                MODEL_DEPLOYMENT, live.key.namespace, live.key.name, operations
            )
            self._cache.absorb(MODEL_DEPLOYMENT, changed)

    def tell(self, told: Status, ready: str, now: float) -> bool:
        """Show what is known of a deployment in its status; False if that stands there already.

        Args:
            told: what is known.
            ready: ready replicas of what serves, of those asked for: "1/1".
            now: seconds since the epoch.

        Raises:
            Conflict: the object was changed since it was read: look again.
        """
        live = self.object(told.record.id)
        if live is None or live.deleting:
            return False
        before = live.object().get("status") or {}
        status = crd.status_of(told, live.generation, ready, before, now)
        if status is None:
            return False
        changed = self._client.patch_status(
            MODEL_DEPLOYMENT, live.key.namespace, live.key.name, status, live.resource_version
        )
        self._cache.absorb(MODEL_DEPLOYMENT, changed)
        return True

    def say(self, key: str, reason: str, message: str, now: float, *, warning: bool) -> None:
        """Put an Event on a deployment's ModelDeployment, if there is one."""
        live = self.object(key)
        if live is not None:
            try:
                self._client.create(crd.event(live, reason, message, now, warning=warning))
            except Exists:
                return

    def namespace(self, record: Record) -> str:
        """Where a deployment's objects are."""
        return self._namespace_of(record.environment, record.project or record.model)

    def object(self, key: str) -> LiveObject | None:
        """The ModelDeployment of a deployment, as last seen; raises as `load` does."""
        return self._cache.find(MODEL_DEPLOYMENT, key)

    def note_deleted(self, live: LiveObject, by_us: bool) -> None:
        """An object went: to be called by the cache."""
        if live.kind == MODEL_DEPLOYMENT:
            with self._lock:
                _, record = self._read.pop(live.deployment, (b"", None))
                served = record is None or record.serving or record.candidate
                if served and not by_us:
                    self._deleted.add(live.deployment)

    def deleted(self) -> set[str]:
        """The ids of those that somebody deleted while we looked, and that nobody allowed since."""
        with self._lock:
            return set(self._deleted)

    def hold(self, key: str) -> None:
        """It was deleted by somebody before we started, as is remembered elsewhere."""
        with self._lock:
            self._deleted.add(key)

    def allow(self, key: str) -> None:
        """A person's word: it may be made again."""
        with self._lock:
            self._deleted.discard(key)

    def _create(self, record: Record) -> None:
        if record.id in self.deleted():
            raise DeletedByHand(
                f"The ModelDeployment {record.id} was deleted by somebody: "
                f"{record.model} is retired from {record.environment}.",
                f"To serve it again: schnitzel deploy apply {record.model} -e {record.environment}",
            )
        namespace = self.namespace(record)
        made = crd.manifest(record, self._cache.platform, namespace)
        try:
            self._cache.absorb(MODEL_DEPLOYMENT, self._client.create(made))
        except Exists as error:
            found = self._client.find(MODEL_DEPLOYMENT, namespace, record.id)
            platform = (found or {}).get("spec", {}).get("platform", "")
            if found is None or platform == self._cache.platform:
                raise Conflict(f"The ModelDeployment {record.id} has just been made.") from error
            raise Taken(
                f"The ModelDeployment {record.id} in {namespace} belongs to another platform "
                f"({platform}); it is left alone.",
                "Give this environment another namespace in platform.yaml.",
            ) from error

    def _record(self, live: LiveObject) -> Record:
        known = self._read.get(live.deployment)
        if known is not None and known[0] == live.fingerprint:
            return known[1]
        record = crd.record_of(live.object())
        with self._lock:
            self._read[live.deployment] = (live.fingerprint, record)
        return record
