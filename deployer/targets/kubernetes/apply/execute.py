"""Execute decisions: create, update and delete the objects of a deployment.

The executor creates a new object, which fails if another actor made one of its name meanwhile. It
server-side applies a live object as the field manager `schnitzel`, on condition that the object is
the same (uid) and unchanged (resourceVersion) since the read. It does not write unchanged objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from deployer.plan.diff import FieldChange
from deployer.plan.redact import masked
from deployer.targets.kubernetes.apply import diff
from deployer.targets.kubernetes.apply.decide import (
    Accepted,
    Action,
    Decision,
    accepted_paths,
    decide,
    to_prune,
)
from deployer.targets.kubernetes.apply.preconditions import ConditionalWriter
from deployer.targets.kubernetes.cache.objects import APPLIED, Key, LiveObject, Owner, Packer
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import (
    AlreadyExists,
    Conflict,
    ForeignObject,
    Immutable,
    Unavailable,
)
from deployer.targets.kubernetes.client.kinds import Kind, kind_of


class Executor:
    """An executor of decisions in one cluster.

    Args:
        client: Writes; guarded, where a Lease decides which Deployer may.
        record_write: Called with each object as the server answered it, so that the next read
            knows it.
        mark_deleting: Called with the uid of each object that the Deployer is about to delete.

    Attributes:
        accepted: The objects of which the server kept something otherwise than it was sent.
    """

    def __init__(
        self,
        client: Client,
        record_write: Callable[[Kind, Object], None] | None = None,
        mark_deleting: Callable[[str], None] | None = None,
    ) -> None:
        self._client = client
        self._writer = ConditionalWriter(client, self._note)
        self._record_write = record_write
        self._mark_deleting = mark_deleting
        self.accepted: dict[Key, Accepted] = {}

    def execute(
        self, decisions: Sequence[Decision], owner: Owner, *, adopt: Collection[str] = ()
    ) -> list[Key]:
        """Execute decisions and return the written objects; write none if one cannot be written.

        Raises:
            ForeignObject: An object is foreign, and not one of those to adopt.
            Immutable: An immutable field would have to change.
            Unavailable: An object is still being deleted.
            Conflict: An object was changed since it was read: read again.
            ApiError: Any other refusal by the server.
        """
        for decision in decisions:
            _raise_if_hopeless(decision)
        return [
            d.key for d in decisions if d.act is not Action.UNCHANGED and self._do(d, owner, adopt)
        ]

    def prune(self, live: Iterable[LiveObject], keep: Collection[Key], owner: Owner) -> list[Key]:
        """Delete our objects of this deployment that are not to be kept, and return their keys.

        Raises:
            Conflict: An object was changed since it was read: read again.
        """
        going = to_prune(live, keep, owner)
        for obj in going:
            self.delete(obj)
        return [obj.key for obj in going]

    def delete(self, obj: LiveObject) -> None:
        """Delete one object as it was read; a Deployment remains until its pods are gone."""
        if self._mark_deleting:
            self._mark_deleting(obj.uid)
        self._writer.delete(obj)

    def recheck(self, decision: Decision, owner: Owner, *, adopt: Collection[str] = ()) -> Decision:
        """Decide again if the server has an object of that name that the cache does not know.

        The cache watches only objects with our labels, so that a new object may meet a foreign one.
        Reads, writes nothing.
        """
        if decision.live is not None:
            return decision
        kind = kind_of(decision.manifest)
        found = self._client.find(kind, decision.key.namespace, decision.key.name)
        if found is None:
            return decision
        return self._decide_again(decision, Packer(kind).pack(found), owner, adopt)

    def dry_run(self, decision: Decision) -> tuple[FieldChange, ...]:
        """List the fields that would change, by a dry run at the server, with secrets masked.

        Raises:
            ApiError: The server would refuse the write, and why.
        """
        if decision.act is Action.UNCHANGED:
            return ()
        body = _annotated(decision)
        if decision.live is None:
            found = diff.difference({}, self._client.create(body, dry_run=True))
        else:
            body["metadata"] |= {"uid": decision.live.uid}
            after = self._client.server_side_apply(body, dry_run=True)
            found = diff.difference(decision.live.object(), after)
        return tuple(masked(change, decision.key.kind) for change in found)

    def _do(self, decision: Decision, owner: Owner, adopt: Collection[str]) -> bool:
        kind = kind_of(decision.manifest)
        if decision.live is None:
            try:
                made = self._client.create(_annotated(decision))
            except AlreadyExists:
                return self._met(decision, kind, owner, adopt)
        else:
            made = self._writer.update(decision.live, _annotated(decision))
        self._note(kind, made)
        left = diff.drift(made, decision.manifest)
        if left:  # the server keeps another form of these fields; a second write changes nothing
            paths = frozenset(change.path for change in left)
            self.accepted[decision.key] = Accepted(decision.digest, paths)
        else:
            self.accepted.pop(decision.key, None)
        return decision.live is None or _version(made) != decision.live.resource_version

    def _met(self, decision: Decision, kind: Kind, owner: Owner, adopt: Collection[str]) -> bool:
        """Handle an object of this name that exists after all: ours, not yet seen, or foreign."""
        found = self._client.find(kind, decision.key.namespace, decision.key.name)
        if found is None:
            raise Conflict(f"{decision.key} came and went while it was being made.")
        again = self._decide_again(decision, Packer(kind).pack(found), owner, adopt)
        _raise_if_hopeless(again)
        self._note(kind, found)
        return again.act is not Action.UNCHANGED and self._do(again, owner, adopt)

    def _decide_again(
        self, decision: Decision, live: LiveObject, owner: Owner, adopt: Collection[str]
    ) -> Decision:
        accepted = accepted_paths(self.accepted, live)
        return decide(decision.manifest, live, owner, adopt=adopt, accepted=accepted)

    def _note(self, kind: Kind, obj: Object) -> None:
        if self._record_write:
            self._record_write(kind, obj)


def _annotated(decision: Decision) -> Object:
    meta = decision.manifest["metadata"]
    notes = {**(meta.get("annotations") or {}), APPLIED: decision.digest}
    return {**decision.manifest, "metadata": {**meta, "annotations": notes}}


def _raise_if_hopeless(decision: Decision) -> None:
    if decision.act is Action.CONFLICT:
        raise ForeignObject(
            f"{decision.problem}; it is left alone.",
            "Delete it, give it another name, or adopt it with --adopt.",
        )
    if decision.act is Action.REFUSED:
        paths = tuple(change.path for change in decision.changes)
        raise Immutable(
            f"{decision.problem}.", "Roll out a new predictor, which has a new name.", paths
        )
    if decision.act is Action.WAIT:
        raise Unavailable(f"{decision.problem}; it is made again after that.")


def _version(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["resourceVersion"])
