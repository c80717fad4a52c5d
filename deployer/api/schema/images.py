"""Declare the API's answers about built Python environments."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class ImageUser(TypedDict):
    """A version that an environment is kept for: serving, candidate, draining, promoted, previous.

    `running`: something that runs in it and is nobody's version; `model` is its name.
    """

    model: str
    environment: str
    version: str
    part: str


class Image(TypedDict):
    """A built environment; `kept` says why it stays, and is empty for one that may be collected.

    `image` is the name by digest, or the folder; `bytes` are its own, compressed in a registry.
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
    """One that was to be collected, and why it was not."""

    name: str
    why: str


class Collection(TypedDict):
    """The last collection since the Deployer's start."""

    state: Literal["running", "done", "failed"]
    since: str | None
    removed: list[str]
    kept: list[StayedImage]
    message: str
    hint: str


class ImagePlace(TypedDict):
    """The environments of one cluster, or of this machine; `message` says what is not known."""

    name: str
    where: str
    grace_seconds: float
    message: str
    hint: str
    images: list[Image]
    collection: Collection | None


class Images(TypedDict):
    """Every place that environments are built for."""

    places: list[ImagePlace]
