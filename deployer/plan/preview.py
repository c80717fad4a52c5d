"""Define the objects that a target would write for a deployment, and the tree that it has.

Every value may be shown: secrets are masked before they get here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from deployer.plan.diff import FieldChange


class Act(StrEnum):
    """The action that would be taken on an object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CONFLICT = "conflict"
    """The object is foreign: it is left alone, unless an operator has it adopted."""
    REFUSED = "refused"
    """The action is impossible; `why` gives the reason."""
    WAIT = "wait"
    """The object is being deleted, and is created again after that."""
    LEFT = "left"
    """Another writer changed the object, and the environment only reports it (`drift: report`)."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """An object that differs from its desired state, with the action, its reason and the fields.

    Attributes:
        act: the action that would be taken.
        kind: the object's kind in Kubernetes; on a laptop `Server`, `Program` or `Route`.
        name: the object's name.
        namespace: the object's namespace; empty on a laptop.
        why: the reason, as a sentence or a clause; empty where the reason is obvious.
        fields: the fields that change; all fields of a new object, none of a deleted one.
        uid: the uid of a foreign object, which binds an operator's consent to that object.
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
    """The changes of a deployment in its target.

    Attributes:
        objects: the objects in the order of execution: create and change, then delete.
        unknown: values that are unknown before the rollout is under way, a sentence each.
        digest: SHA-256, hex, over every rendered object. A value that `unknown` may name (an image
            that is built, a pinned artifact, a port) is never part of the digest, also when it is
            known: it follows from the version, and the digest stays the same when it is found out.
    """

    objects: tuple[ObjectChange, ...] = ()
    unknown: tuple[str, ...] = ()
    digest: str = ""

    @property
    def pending(self) -> bool:
        """Whether any action would be taken or waits for an operator."""
        return any(each.act is not Act.LEFT for each in self.objects)

    @property
    def foreign(self) -> tuple[ObjectChange, ...]:
        """The foreign objects."""
        return tuple(each for each in self.objects if each.act is Act.CONFLICT)


@dataclass(frozen=True, slots=True)
class Node:
    """An object or process of a deployment, with its children.

    Attributes:
        kind: "ModelDeployment", "Predictor", "Deployment", "Pod", "Process"...
        name: the node's name.
        status: the node's condition, in CamelCase.
        ready: "1/2" for a node with several parts that may be ready; else empty.
        detail: further information, as a clause.
        problem: a sentence in one line; empty if there is none.
        children: the nodes that belong to this node.
    """

    kind: str
    name: str
    status: str = ""
    ready: str = ""
    detail: str = ""
    problem: str = ""
    children: tuple[Node, ...] = ()


def digest_of(parts: Sequence[object]) -> str:
    """Hash JSON-ready values: SHA-256, in hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
