"""In: records. Out: the same records after a restart, as ModelDeployments of a cluster.

Every write is on condition that the object is as it was read; it is made only where nobody
deleted it, for deleting it is a person's word to retire the deployment. That is remembered in the
roster, so that it holds for what was deleted while no Deployer ran.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from deployer import hints
from deployer.errors import DeletedByHand, FormatUnknown
from deployer.state.deployment import Record
from deployer.status.verdict import Status
from deployer.store import recordformat
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError, Conflict, Exists, Taken
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.crd import RecordUnreadable
from deployer.targets.kubernetes.records.deletions import DeletionLedger

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How long a look at whether a whole namespace is empty is good for."""


class ClusterRecords:
    """All records of one platform in one cluster, in the interface of `deployer.store.records`.

    Args:
        client: writes; guarded, where a lease decides who may.
        cache: reads.
        namespace_of: the namespace of an environment's deployments, for a project.
        roster: who served here, over restarts; None: for as long as the process lives.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespace_of: Callable[[str, str], str],
        roster: DeletionLedger | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._namespace_of = namespace_of
        self._lock = threading.Lock()
        self._read: dict[str, tuple[bytes, Record]] = {}
        self._roster = roster or DeletionLedger("")
        self._emptied: dict[str, tuple[float, int]] = {}

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
                found.append((self._record(live), live.key.namespace))
            except RecordUnreadable:
                continue
        self._roster.note(found)
        return [record for record, _ in found]

    def raise_if_unknown(self) -> None:
        """Refuse to begin where another version of the platform kept a record.

        Raises:
            FormatUnknown: one has a format that is not known here.
        """
        try:
            found = self._cache.all(MODEL_DEPLOYMENT)
        except ApiError:  # passes say so, and none of them writes what it cannot read
            return
        for live in found:
            try:
                self._record(live)
            except RecordUnreadable as error:
                if isinstance(error.__cause__, FormatUnknown):
                    raise error.__cause__ from None

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
                {"op": "replace", "path": "/spec/record", "value": recordformat.body(record)},
            ]
            changed = self._client.json_patch(
                MODEL_DEPLOYMENT, live.key.namespace, live.key.name, operations
            )
            self._cache.absorb(MODEL_DEPLOYMENT, changed)
        self._roster.note([(record, live.key.namespace if live else self.namespace(record))])

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
            if not by_us:
                log.warning("%s in %s was deleted by somebody", live.key, live.key.namespace)
            with self._lock:
                self._read.pop(live.deployment, None)

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to make again what somebody deleted: it is on the roster, and not there.

        Raises:
            DeletedByHand: nobody has allowed it since.
            Unavailable: it is not known now whether it is there.
        """
        if self.object(record.id) is not None:
            return
        namespace = self._roster.namespace(record.id)
        if namespace is None or not self._cache.watches(namespace):
            return
        gone = f"The ModelDeployment {record.id} was deleted by somebody"
        together = self._gone_together(namespace)
        if together > 1:
            gone = (
                f"None of the {together} ModelDeployments that served in the namespace {namespace} "
                "is there any more: it, or the whole cluster, was replaced or restored"
            )
        raise DeletedByHand(
            f"{gone}. {record.model} is retired from {record.environment}, and not made again by "
            "itself.",
            f"To serve it again: {hints.deploy('apply', record)}",
        )

    def allow(self, key: str) -> None:
        """A person's word: it may be made again."""
        if self.object(key) is None:
            self._roster.strike(key)

    def _gone_together(self, namespace: str) -> int:
        """How many of a namespace went if none of ours is left there; else 0."""
        at, gone = self._emptied.get(namespace, (0.0, 0))
        if time.monotonic() - at >= LOOK_SECONDS:
            left = any(o.key.namespace == namespace for o in self._cache.all(MODEL_DEPLOYMENT))
            gone = 0 if left else self._roster.count(namespace)
            self._emptied[namespace] = (time.monotonic(), gone)
        return gone

    def _create(self, record: Record) -> None:
        self.raise_if_deleted(record)
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
