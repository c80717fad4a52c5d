"""Declare the API's answers about built Python environments."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class ImageUser(TypedDict):
    """A version that needs a Python environment, as the `part` that it plays.

    `part` is serving, candidate, draining, promoted, previous, or running: a process or a pod that
    belongs to no known version, and whose name is `model`.
    """

    model: str
    environment: str
    version: str
    part: str


class Image(TypedDict):
    """A built Python environment; `kept` is the reason why it stays, empty if it may be removed.

    `image` is the image by digest, or the folder; `bytes` is the size, in a registry compressed.
    """

    name: str
    image: str
    lock: str
    python: str
    bytes: int | None
    made_at: str | None
    used_at: str | None
    state: Literal["ready", "building", "unfinished", "removing"]
    users: list[ImageUser]
    collectable: bool
    kept: str


class StayedImage(TypedDict):
    """An image that was to be removed and was not, and why."""

    name: str
    why: str


class Collection(TypedDict):
    """The last removal of images since the Deployer's start."""

    state: Literal["running", "done", "failed"]
    since: str | None
    removed: list[str]
    kept: list[StayedImage]
    message: str
    hint: str


class ImagePlace(TypedDict):
    """The Python environments of one cluster or of this machine; `message` is what is unknown."""

    name: str
    where: str
    grace_seconds: float
    message: str
    hint: str
    images: list[Image]
    collection: Collection | None


class Images(TypedDict):
    """The Python environments of every target."""

    places: list[ImagePlace]
