"""Decide the action on an object: from its manifest, the live object, and the owner.

Pure. An object is ours if it carries our platform's label and the deployment's. The Deployer never
changes a foreign object, unless an operator lets it adopt the object, and deletes only objects that
also name the ModelDeployment as their owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from deployer.plan.diff import FieldChange
from deployer.targets.kubernetes.apply.diff import drift, pattern_of
from deployer.targets.kubernetes.cache.objects import Key, LiveObject, Owner, digest_of, key_of
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT, POD, apply_order, kind_of


class Action(StrEnum):
    """The action that a manifest calls for."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    WAIT = "wait"
    """The object is being deleted, and can be made again only after that."""
    CONFLICT = "conflict"
    """The object is foreign."""
    REFUSED = "refused"
    """A field would change that cannot be changed in place."""


class Cause(StrEnum):
    """The reason why an object is to be written."""

    NONE = ""
    NEW = "new"
    CHANGED = "changed"
    """The manifest differs from the one applied last."""
    DRIFT = "drift"
    """The manifest is the same; another actor changed the object."""
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Decision:
    """The action on one object, and why. `problem` is a sentence for CONFLICT, REFUSED, WAIT."""

    act: Action
    key: Key
    manifest: Mapping[str, Any]
    digest: str
    live: LiveObject | None = None
    cause: Cause = Cause.NONE
    changes: tuple[FieldChange, ...] = ()
    problem: str = ""


class Accepted(NamedTuple):
    """Fields of an object that the server keeps in another form than the manifest's.

    Attributes:
        digest: The digest of the manifest.
        paths: The paths of the fields; a second write would change nothing.
    """

    digest: str
    paths: frozenset[str]


NOTHING_ACCEPTED: Final[Mapping[Key, Accepted]] = {}


def in_apply_order(manifests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort manifests so that each comes after the objects that it needs."""
    return sorted(manifests, key=lambda m: (apply_order(kind_of(m)), m["metadata"]["name"]))


def decide(
    manifest: Mapping[str, Any],
    live: LiveObject | None,
    owner: Owner,
    *,
    adopt: Collection[str] = (),
    ignore: Sequence[str] = (),
    accepted: Collection[str] = (),
) -> Decision:
    """Compare one manifest with the object of its name.

    Args:
        manifest: The rendered manifest, with its owner reference; without uid and resourceVersion.
        live: The live object, or None.
        owner: The owner of the wanted object.
        adopt: The uids of foreign objects that an operator lets the Deployer adopt.
        ignore: Paths whose drift does not count; see `diff.drift`.
        accepted: Paths at which the server keeps another value than the manifest's, as seen in
            its answer to our own write.
    """
    digest, key = digest_of(manifest), key_of(manifest)
    if live is None:
        return Decision(Action.CREATE, key, manifest, digest, cause=Cause.NEW)
    foreign = foreign_owner(live, owner)
    if foreign and live.uid not in adopt:
        return Decision(Action.CONFLICT, key, manifest, digest, live, problem=foreign)
    if live.deleting:
        problem = f"{key} is being deleted"
        return Decision(Action.WAIT, key, manifest, digest, live, problem=problem)
    found = drift(live.object(), manifest, ignore)
    changes = tuple(change for change in found if change.path not in accepted)
    same = live.applied == digest
    if same and not changes and not foreign:
        return Decision(Action.UNCHANGED, key, manifest, digest, live)
    for change in changes:
        if change.was is not None and _within(change.path, live.kind.immutable):
            problem = f"{key} cannot change {change.path} in place"
            return Decision(
                Action.REFUSED, key, manifest, digest, live, Cause.CHANGED, changes, problem
            )
    cause = Cause.ADOPTED if foreign else Cause.DRIFT if same else Cause.CHANGED
    return Decision(Action.UPDATE, key, manifest, digest, live, cause, changes)


def decide_all(
    manifests: Iterable[Mapping[str, Any]],
    live: Iterable[LiveObject],
    owner: Owner,
    *,
    adopt: Collection[str] = (),
    ignore: Sequence[str] = (),
    accepted: Mapping[Key, Accepted] = NOTHING_ACCEPTED,
) -> list[Decision]:
    """Decide the action on each object, in the order to carry out.

    Args:
        manifests: The wanted objects, as rendered.
        live: The live objects.
        owner: The owner of the wanted objects.
        adopt: The uids of foreign objects that an operator lets the Deployer adopt.
        ignore: JSON pointers to fields that may drift.
        accepted: What the server kept otherwise than it was sent, as `Executor.accepted` has it.
    """
    there = {obj.key: obj for obj in live}
    patterns = [pattern_of(pointer) for pointer in ignore]
    found = []
    for manifest in in_apply_order(manifests):
        seen = there.get(key_of(manifest))
        paths = accepted_paths(accepted, seen)
        found.append(decide(manifest, seen, owner, adopt=adopt, ignore=patterns, accepted=paths))
    return found


def accepted_paths(accepted: Mapping[Key, Accepted], live: LiveObject | None) -> Collection[str]:
    """List the paths at which the server keeps another value than that of the manifest."""
    known = accepted.get(live.key) if live else None
    return known.paths if live and known and live.applied == known.digest else ()


def foreign_owner(live: LiveObject, owner: Owner) -> str:
    """Explain why an object is not ours, in a sentence; empty if it is."""
    if not live.platform:
        return f"{live.key} is there already, and was not made by Schnitzel"
    if live.platform != owner.platform:
        return f"{live.key} belongs to another platform ({live.platform})"
    if live.deployment != owner.deployment:
        return f"{live.key} belongs to another deployment ({live.deployment or 'none'})"
    return ""


def to_prune(live: Iterable[LiveObject], keep: Collection[Key], owner: Owner) -> list[LiveObject]:
    """List our unwanted objects in the order of deletion: routes before the Services they name.

    The list has only objects that name the ModelDeployment as owner; pods go with their Deployment.
    """
    going = [
        obj
        for obj in live
        if obj.key not in keep
        and obj.kind not in (POD, MODEL_DEPLOYMENT)
        and not foreign_owner(obj, owner)
        and owner.uid
        and owner.uid in obj.owners
        and not obj.deleting
    ]
    return sorted(going, key=lambda obj: (-apply_order(obj.kind), obj.key.name))


def _within(path: str, fields: Iterable[str]) -> bool:
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in fields)
