"""Nothing in; out: what a target would write for a deployment, and what it has there, as values.

Every value is fit to be shown: what looks like a secret is masked before it gets here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from deployer.plan.diff import FieldChange


class Act(StrEnum):
    """What would be done to an object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CONFLICT = "conflict"
    """It is somebody else's: it is left alone, unless a person has it taken over."""
    REFUSED = "refused"
    """It cannot be done; `why` says what stands against it."""
    WAIT = "wait"
    """It is being deleted, and made again after that."""
    LEFT = "left"
    """Somebody changed it, and the environment only reports that (`drift: report`)."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object that is not as it would be: what would be done to it, why, and to which fields.

    Attributes:
        act: what would be done.
        kind: the object's, as Kubernetes has it; on a laptop `Server`, `Program` or `Route`.
        name: the object's.
        namespace: where it is; empty on a laptop.
        why: a sentence or a clause; empty where it goes without saying.
        fields: what changes in it; all of it where it is new, nothing where it goes.
        uid: of an object that is somebody else's, by which a person's word is tied to it.
    """

    act: Act
    kind: str
    name: str
    namespace: str = ""
    why: str = ""
    fields: tuple[FieldChange, ...] = ()
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a deployment would change where it runs.

    Attributes:
        objects: in the order of doing: create and change, then delete.
        unknown: what is not known before the rollout is under way, a sentence each.
        digest: SHA-256, hex, over everything as it is rendered. What `unknown` may name (an image
            that is built, a pinned artifact, a port) is never part of it, also when it is known:
            it follows from the version, and the digest stays what it was when it is found out.
    """

    objects: tuple[ObjectChange, ...] = ()
    unknown: tuple[str, ...] = ()
    digest: str = ""

    @property
    def pending(self) -> bool:
        """Whether anything would be done, or waits for a person's word."""
        return any(each.act is not Act.LEFT for each in self.objects)

    @property
    def foreign(self) -> tuple[ObjectChange, ...]:
        """The objects that are somebody else's."""
        return tuple(each for each in self.objects if each.act is Act.CONFLICT)


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that is there, and what it is made of.

    Attributes:
        kind: "ModelDeployment", "Predictor", "Deployment", "Pod", "Process"...
        name: its own.
        status: one word on how it is.
        ready: "1/2" where it has several that may be ready; else empty.
        detail: what there is to know of it, as a clause.
        trouble: what is wrong with it, in one line; empty if nothing is.
        children: what belongs to it.
    """

    kind: str
    name: str
    status: str = ""
    ready: str = ""
    detail: str = ""
    trouble: str = ""
    children: tuple[Node, ...] = ()


def digest_of(parts: Sequence[object]) -> str:
    """SHA-256, hex, over JSON-ready values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
