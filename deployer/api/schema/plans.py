"""Declare the API's answers about plans, changed objects and trees."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class Change(TypedDict):
    """A planned change, and why. Fields that a target adds are passed on."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's own way

    action: str
    predictor: str
    version: str
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Hold(TypedDict):
    """The reason why a plan is held, and the command that releases it."""

    reason: str
    message: str
    hint: str


class Field(TypedDict):
    """One field of an object; null: not there. Secrets are masked."""

    path: str
    before: Any
    after: Any


class ObjectChange(TypedDict):
    """An object that differs from its desired state, and the action on it.

    `conflict`: it is foreign, and left alone. `refused`: the target would refuse it.
    `wait`: it is still being deleted. `left`: it has drifted, and the drift is only reported.
    """

    action: Literal["create", "update", "delete", "conflict", "refused", "wait", "left"]
    kind: str
    name: str
    namespace: str
    why: str
    fields: list[Field]


class Outline(TypedDict):
    """The changes as of the last pass, without rendered objects and therefore without a digest.

    `held_by` is the reason why the plan is held: a pause, a frozen registry, or, in `unsafe`, too
    many retirements at once.
    """

    deployment: str
    changes: list[Change]
    pending: bool
    unsafe: Hold | None
    held_by: Hold | None


class Plan(Outline):
    """The changes as of now, and the objects that would change; the digest covers all of it.

    `unknown` lists values that are unknown before the rollout begins; the digest omits them.
    The digest is empty if the target cannot be observed now: the plan is that of the last pass.
    """

    digest: str
    objects: list[ObjectChange]
    unknown: list[str]


class Plans(TypedDict):
    """The plan of every deployment, as of its last pass."""

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
    """An object or process, and its children.

    `ready` is "1/2" for a node with several parts that may be ready, `trouble` is its problem.
    """

    kind: str
    name: str
    status: str
    ready: str
    detail: str
    trouble: str
    children: list[Node]


class Tree(TypedDict):
    """The objects of a deployment in its target."""

    deployment: str
    model: str
    environment: str
    root: Node
