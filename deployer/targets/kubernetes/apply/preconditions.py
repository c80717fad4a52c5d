"""Write to an object only as it was read, by preconditions.

Every write carries the uid and the resourceVersion that were read. Controllers report into an
object's status all the time, which changes its resourceVersion. If only the status changed since
the read, and no field that can be set (the fingerprint is the same), the decision still holds, and
the writer carries it out on the object as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from deployer.targets.kubernetes.cache.objects import LiveObject, Packer
from deployer.targets.kubernetes.client.client import MANAGER, Client, Object
from deployer.targets.kubernetes.client.errors import Conflict
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT, Kind

TRIES: Final = 5
_CREATED: Final = f"{MANAGER}/Update"
"""The manager and operation of the fields of an object that we created and never applied."""

_APPLIED: Final = f"{MANAGER}/Apply"
_WITH_PODS: Final = (DEPLOYMENT, SELDON_DEPLOYMENT)
Done = TypeVar("Done")


class ConditionalWriter:
    """A writer that updates and deletes objects of one cluster.

    Args:
        client: Writes.
        note: Called with an object that turned out to differ from the one that was read.
    """

    def __init__(self, client: Client, note: Callable[[Kind, Object], None]) -> None:
        self._client = client
        self._note = note

    def update(self, live: LiveObject, body: Object) -> Object:
        """Server-side apply a manifest to the object that was read.

        Raises:
            Conflict: The object was changed or deleted since: read again.
        """
        return self._on(live, lambda now: self._apply(now, body))

    def delete(self, live: LiveObject) -> None:
        """Delete the object that was read; a Deployment remains until its pods are gone.

        Raises:
            Conflict: The object was changed since: read again.
        """
        self._on(live, self._delete)

    def _on(self, live: LiveObject, act: Callable[[LiveObject], Done]) -> Done:
        for _ in range(TRIES - 1):
            try:
                return act(live)
            except Conflict:
                live = self._as_it_is(live)
        return act(live)

    def _as_it_is(self, live: LiveObject) -> LiveObject:
        """Read the object as it is now; raise Conflict if more than its status changed."""
        found = self._client.find(live.kind, live.key.namespace, live.key.name)
        now = Packer(live.kind).pack(found) if found else None
        if found is None or now is None:
            raise Conflict(f"{live.key} was deleted since it was read.")
        if now.uid != live.uid or now.fingerprint != live.fingerprint:
            self._note(live.kind, found)
            raise Conflict(f"{live.key} was changed since it was read.")
        return now

    def _apply(self, live: LiveObject, body: Object) -> Object:
        version = live.resource_version
        if _CREATED in live.managers and _APPLIED not in live.managers:
            version = self._own(live)
        precondition = {"uid": live.uid, "resourceVersion": version}
        return self._client.server_side_apply(body | {"metadata": body["metadata"] | precondition})

    def _own(self, live: LiveObject) -> str:
        """Make the fields that our create set count as applied; return the new resourceVersion.

        Otherwise no later apply could remove any of them.
        """
        found = self._client.find(live.kind, live.key.namespace, live.key.name)
        if found is None or found["metadata"]["resourceVersion"] != live.resource_version:
            raise Conflict(f"{live.key} was changed since it was read.")
        fields = [
            entry | {"operation": "Apply"} if _made_by_us(entry) else entry
            for entry in found["metadata"].get("managedFields") or ()
        ]
        operations: list[Object] = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live.resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        ]
        place = (live.kind, live.key.namespace, live.key.name)
        changed = self._client.json_patch(*place, operations)
        return str(changed["metadata"]["resourceVersion"])

    def _delete(self, live: LiveObject) -> None:
        self._client.delete(
            live.kind,
            live.key.namespace,
            live.key.name,
            uid=live.uid,
            resource_version=live.resource_version,
            propagation="Foreground" if live.kind in _WITH_PODS else "Background",
        )


def _made_by_us(entry: Mapping[str, Any]) -> bool:
    name = f"{entry.get('manager')}/{entry.get('operation')}"
    return name == _CREATED and not entry.get("subresource")
