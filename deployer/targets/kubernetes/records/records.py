"""Keep records in a cluster, as ModelDeployments.

Every write requires the object as it was read. The Deployer does not make a deleted ModelDeployment
again, because an operator deletes it to retire the deployment. The deletion ledger keeps this true
of a deletion while no Deployer ran.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deployer import hints
from deployer.errors import DeletedByHand, FormatUnknown
from deployer.state.record import Record
from deployer.status.verdict import Status
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ForeignObject,
)
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.crd import RecordUnreadable
from deployer.targets.kubernetes.records.deletions import DeletionLedger

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How long a check of whether a whole namespace is empty stays valid."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as a ModelDeployment holds it.

    Attributes:
        record: The record.
        namespace: The namespace of the deployment's objects.
        uid: The uid of the ModelDeployment.
        fingerprint: The fingerprint of the ModelDeployment.
    """

    record: Record
    namespace: str
    uid: str
    fingerprint: bytes


class ClusterRecords:
    """All records of one platform in one cluster, in the interface of `deployer.store.records`.

    Args:
        client: Writes; guarded, where a Lease decides which Deployer may.
        cache: Reads.
        namespace_of: Returns the namespace of an environment's deployments, for a project.
        ledger: The deletion ledger, kept over restarts; None: one that ends with the process.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespace_of: Callable[[str, str], str],
        ledger: DeletionLedger | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._namespace_of = namespace_of
        self._lock = threading.Lock()
        self._stored: dict[str, StoredRecord] = {}
        self._ledger = ledger or DeletionLedger("")
        self._emptied: dict[str, tuple[float, int]] = {}

    def find(self, key: str) -> StoredRecord | None:
        """Find the record of a deployment as it is stored; None if there is none.

        Raises:
            Unavailable: The cache does not know now whether there is a record.
            RecordUnreadable: The record cannot be read.
        """
        live = self.object(key)
        return None if live is None else self._read(live)

    def load(self, key: str) -> Record | None:
        """Load the record of a deployment; None if there is none. Raises as `find` does."""
        found = self.find(key)
        return None if found is None else found.record

    def all(self) -> list[Record]:
        """Load every readable record, in no order; raises Unavailable as `find` does."""
        found = []
        for live in self._cache.all(MODEL_DEPLOYMENT):
            try:
                found.append((self._read(live).record, live.key.namespace))
            except RecordUnreadable:
                continue
        self._ledger.update(found)
        return [record for record, _ in found]

    def raise_if_unknown(self) -> None:
        """Refuse to begin where another version of the platform kept a record.

        Raises:
            FormatUnknown: A record has a format that this version does not know.
        """
        try:
            found = self._cache.all(MODEL_DEPLOYMENT)
        except ApiError:  # passes report it, and no pass writes a record that it cannot read
            return
        for live in found:
            try:
                self._read(live)
            except RecordUnreadable as error:
                if isinstance(error.__cause__, FormatUnknown):
                    raise error.__cause__ from None

    def save(self, record: Record) -> None:
        """Keep a record; writes only a change.

        Raises:
            DeletedByHand: An operator deleted the object, and none has allowed it again.
            ForeignObject: The object belongs to another platform.
            Conflict: The object was changed since it was read: read again.
            ApiError: The cluster refused the write.
        """
        live = self.object(record.id)
        if live is None:
            self._create(record)
        elif self._read(live).record != record:
            operations: list[crd.Object] = [
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": live.resource_version,
                },
                *crd.changes(live.object(), record),
            ]
            changed = self._client.json_patch(
                MODEL_DEPLOYMENT, live.key.namespace, live.key.name, operations
            )
            self._cache.record_write(MODEL_DEPLOYMENT, changed)
        self._ledger.update([(record, live.key.namespace if live else self.namespace(record))])

    def publish(self, status: Status, ready: str, now: float) -> bool:
        """Publish a deployment's status in its ModelDeployment; False if it is there already.

        Args:
            status: The status.
            ready: Ready and wanted replicas of the serving predictor: "1/1".
            now: Seconds since the epoch.

        Raises:
            Conflict: The object was changed since it was read: read again.
        """
        live = self.object(status.record.id)
        if live is None or live.deleting:
            return False
        before = live.object().get("status") or {}
        built = crd.status_of(status, live.generation, ready, before, now)
        if built is None:
            return False
        changed = self._client.patch_status(
            MODEL_DEPLOYMENT, live.key.namespace, live.key.name, built, live.resource_version
        )
        self._cache.record_write(MODEL_DEPLOYMENT, changed)
        return True

    def emit_event(self, key: str, reason: str, message: str, now: float, *, warning: bool) -> None:
        """Record an Event on a deployment's ModelDeployment, if there is one."""
        live = self.object(key)
        if live is not None:
            try:
                self._client.create(crd.event(live, reason, message, now, warning=warning))
            except AlreadyExists:
                return

    def namespace(self, record: Record) -> str:
        """Return the namespace of a deployment's objects."""
        return self._namespace_of(record.environment, record.project or record.model)

    def object(self, key: str) -> LiveObject | None:
        """Return the ModelDeployment of a deployment, as last seen; raises as `find` does."""
        return self._cache.find(MODEL_DEPLOYMENT, key)

    def note_deleted(self, live: LiveObject, by_us: bool) -> None:
        """Forget the record of a deleted object; the cache calls this."""
        if live.kind == MODEL_DEPLOYMENT:
            if not by_us:
                log.warning("%s in %s was deleted by hand", live.key, live.key.namespace)
            with self._lock:
                self._stored.pop(live.deployment, None)

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to make a deleted ModelDeployment again: one in the ledger, not in the cluster.

        Raises:
            DeletedByHand: No operator has allowed it since.
            Unavailable: The cache does not know now whether the object exists.
        """
        if self.object(record.id) is not None:
            return
        namespace = self._ledger.namespace(record.id)
        if namespace is None or not self._cache.watches(namespace):
            return
        gone = f"The ModelDeployment {record.id} was deleted by hand"
        together = self._lost_with_namespace(namespace)
        if together > 1:
            gone = (
                f"None of the {together} ModelDeployments that served in the namespace {namespace} "
                "is there any more: it, or the whole cluster, was replaced or restored"
            )
        raise DeletedByHand(
            f"{gone}. {record.model} is retired from {record.environment}, and is not "
            "recreated automatically.",
            f"To serve it again: {hints.deploy('apply', record)}",
        )

    def allow(self, key: str) -> None:
        """Let a deleted ModelDeployment be made again, as an operator asked."""
        if self.object(key) is None:
            self._ledger.remove(key)

    def _lost_with_namespace(self, namespace: str) -> int:
        """Count the lost ModelDeployments of a namespace that has none of ours left; else 0."""
        at, gone = self._emptied.get(namespace, (0.0, 0))
        if time.monotonic() - at >= LOOK_SECONDS:
            left = any(o.key.namespace == namespace for o in self._cache.all(MODEL_DEPLOYMENT))
            gone = 0 if left else self._ledger.count(namespace)
            self._emptied[namespace] = (time.monotonic(), gone)
        return gone

    def _create(self, record: Record) -> None:
        self.raise_if_deleted(record)
        namespace = self.namespace(record)
        made = crd.manifest(record, self._cache.platform, namespace)
        try:
            self._cache.record_write(MODEL_DEPLOYMENT, self._client.create(made))
        except AlreadyExists as error:
            found = self._client.find(MODEL_DEPLOYMENT, namespace, record.id)
            platform = (found or {}).get("spec", {}).get("platform", "")
            if found is None or platform == self._cache.platform:
                raise Conflict(f"The ModelDeployment {record.id} has just been made.") from error
            raise ForeignObject(
                f"The ModelDeployment {record.id} in {namespace} belongs to another platform "
                f"({platform}); it is left alone.",
                "Give this environment another namespace in platform.yaml.",
            ) from error

    def _read(self, live: LiveObject) -> StoredRecord:
        known = self._stored.get(live.deployment)
        if known is not None and known.fingerprint == live.fingerprint and known.uid == live.uid:
            return known
        record = crd.record_of(live.object())
        found = StoredRecord(record, self.namespace(record), live.uid, live.fingerprint)
        with self._lock:
            self._stored[live.deployment] = found
        return found
