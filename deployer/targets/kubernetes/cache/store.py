"""Keep the newest version of each object, by deployment, and notify listeners of changes.

Thread-safe. The store takes in answers to our own writes as well, so that the next read knows them;
an older version of an object never replaces a newer one.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Final

from deployer.targets.kubernetes.cache.objects import Key, LiveObject
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT, Kind

log = logging.getLogger(__name__)

REMEMBERED: Final = 4096
"""How many deletions are remembered: ours, until the watch reports them; and those seen, so that
a late answer to an older write does not bring the object back."""

Changed = Callable[[str], None]
Deleted = Callable[[LiveObject, bool], None]


class Store:
    """Live objects, indexed by deployment id.

    Args:
        changed: Called with the deployment id of each object that came, changed or went.
        deleted: Called with each deleted object, and whether the Deployer deleted it.
    """

    def __init__(self, changed: Changed | None = None, deleted: Deleted | None = None) -> None:
        self._changed = changed
        self._deleted = deleted
        self._lock = threading.Lock()
        self._kinds: defaultdict[str, dict[Key, LiveObject]] = defaultdict(dict)
        self._of: dict[str, dict[Key, LiveObject]] = {}
        self._going: deque[str] = deque(maxlen=REMEMBERED)
        self._gone: OrderedDict[Key, int] = OrderedDict()

    def put(self, obj: LiveObject) -> None:
        """Take in an object, unless a newer version or its deletion is known."""
        with self._lock:
            before = self._kinds[obj.key.kind].get(obj.key)
            if before is not None and version(before) >= version(obj):
                return
            if self._gone.get(obj.key, 0) >= version(obj):
                return
            replaced = before if before is not None and before.uid != obj.uid else None
            if before is not None and before.deployment != obj.deployment:
                self._unindex(before)
            self._kinds[obj.key.kind][obj.key] = obj
            self._of.setdefault(obj.deployment, {})[obj.key] = obj
        if replaced is not None:
            self._notify_deleted(replaced)
        if (
            before is None
            or obj.kind != MODEL_DEPLOYMENT
            or before.fingerprint != obj.fingerprint
            or before.deleting != obj.deleting
        ):  # the Deployer writes the status of a ModelDeployment, and nothing follows from it
            self._notify_changed(obj)

    def remove(self, key: Key, uid: str, moment: str) -> None:
        """Remove the object of this uid, deleted at the latest at that resourceVersion."""
        with self._lock:
            self._gone[key] = int(moment)
            self._gone.move_to_end(key)
            if len(self._gone) > REMEMBERED:
                self._gone.popitem(last=False)
            obj = self._kinds[key.kind].get(key)
            if obj is None or obj.uid != uid:
                return
            del self._kinds[key.kind][key]
            self._unindex(obj)
        self._notify_deleted(obj)
        self._notify_changed(obj)

    def replace(self, kind: Kind, namespace: str, seen: set[Key], moment: str) -> None:
        """Remove the objects that a complete listing lacks, unless they are newer.

        Args:
            kind: The listed kind.
            namespace: The listed namespace; empty for all.
            seen: The listed objects.
            moment: The listing's resourceVersion.
        """
        with self._lock:
            gone = [
                obj
                for key, obj in self._kinds[kind.name].items()
                if (not namespace or key.namespace == namespace)
                and key not in seen
                and version(obj) <= int(moment)
            ]
        for obj in gone:
            self.remove(obj.key, obj.uid, moment)

    def forget(self, kind: Kind, namespace: str) -> None:
        """Drop the objects of a kind, none of which was deleted; a new listing shows which are."""
        with self._lock:
            known = self._kinds[kind.name]
            dropped = [o for k, o in known.items() if not namespace or k.namespace == namespace]
            for obj in dropped:
                self._unindex(known.pop(obj.key))
            for key in [k for k in self._gone if k.kind == kind.name]:
                del self._gone[key]
        for obj in dropped:
            self._notify_changed(obj)

    def mark_deleting(self, uid: str) -> None:
        """Note that the Deployer is about to delete the object of this uid."""
        self._going.append(uid)

    def get(self, key: Key) -> LiveObject | None:
        """Return one object."""
        return self._kinds[key.kind].get(key)

    def of(self, deployment: str) -> tuple[LiveObject, ...]:
        """Return all objects of a deployment, in every namespace."""
        with self._lock:
            return tuple(self._of.get(deployment, {}).values())

    def deployments(self) -> set[str]:
        """Return the ids of all deployments with an object."""
        with self._lock:
            return set(self._of) - {""}

    def all(self, kind: Kind) -> list[LiveObject]:
        """Return every object of a kind."""
        with self._lock:
            return list(self._kinds[kind.name].values())

    def _unindex(self, obj: LiveObject) -> None:
        group = self._of.get(obj.deployment, {})
        group.pop(obj.key, None)
        if not group:
            self._of.pop(obj.deployment, None)

    def _notify_changed(self, obj: LiveObject) -> None:
        if self._changed and obj.deployment:
            _call(lambda: self._changed and self._changed(obj.deployment))

    def _notify_deleted(self, obj: LiveObject) -> None:
        if self._deleted:
            by_us = obj.uid in self._going
            _call(lambda: self._deleted and self._deleted(obj, by_us))


def version(obj: LiveObject) -> int:
    """Parse a resourceVersion: within one kind, a higher number is newer.

    Kubernetes documents since 1.35 that resource versions can be compared; they always were etcd's
    revisions.
    """
    return int(obj.resource_version)


def _call(listener: Callable[[], object]) -> None:
    """Call a listener, whose error must not end a watch."""
    try:
        listener()
    except Exception:
        log.exception("A listener of the cluster's changes failed.")
