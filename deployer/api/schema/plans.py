"""Declare the API's answers about plans, changed objects and trees."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class Change(TypedDict):
    """One thing to do, and why. What a target adds to it passes through."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's own way

    action: str
    predictor: str
    version: str
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Hold(TypedDict):
    """Why a plan is not carried out now, and the command that changes that."""

    reason: str
    message: str
    hint: str


class Field(TypedDict):
    """One field of an object; null: not there. Secrets are masked."""

    path: str
    before: Any
    after: Any


class ObjectChange(TypedDict):
    """One object that is not as it would be, and what would be done to it.

    `conflict`: it is somebody else's, and left alone. `refused`: the target would not have it.
    `wait`: it is still being deleted. `left`: somebody changed it, and that is only reported.
    """

    action: Literal["create", "update", "delete", "conflict", "refused", "wait", "left"]
    kind: str
    name: str
    namespace: str
    why: str
    fields: list[Field]


class Outline(TypedDict):
    """What would be done, as of the last pass; nothing is rendered for it, so it has no digest.

    `held_by` says why none of it is done now: a pause, a registry that is not believed, or, in
    `unsafe`, too many retirements at once.
    """

    deployment: str
    changes: list[Change]
    pending: bool
    unsafe: Hold | None
    held_by: Hold | None


class Plan(Outline):
    """What would be done now, and the objects that would change; the digest names exactly this.

    `unknown` says what is not known before the rollout is under way; it is no part of the digest.
    The digest is empty where what runs cannot be seen now: then the plan is that of the last pass.
    """

    digest: str
    objects: list[ObjectChange]
    unknown: list[str]


class Plans(TypedDict):
    """What would be done to every deployment, as of its last pass."""

    plans: list[Outline]


class Diff(TypedDict):
    """The objects that would change; the digest is the plan's."""

    deployment: str
    model: str
    environment: str
    digest: str
    objects: list[ObjectChange]
    unknown: list[str]


class Node(TypedDict):
    """One thing that there is, and what belongs to it.

    `ready` is "1/2" where it has several that may be ready, `trouble` is its problem.
    """

    kind: str
    name: str
    status: str
    ready: str
    detail: str
    trouble: str
    children: list[Node]


class Tree(TypedDict):
    """What there is of a deployment where it runs."""

    deployment: str
    model: str
    environment: str
    root: Node
