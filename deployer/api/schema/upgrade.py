"""Declare the API's answers about an upgrade of the platform."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class Halted(TypedDict):
    """An operator's order to begin no further upgrade."""

    by: str
    at: str | None


Move = TypedDict(
    "Move",
    {
        "deployment": str,
        "model": str,
        "environment": str,
        "from": str,
        "to": str,
        "state": Literal[
            "now", "moving", "waiting", "failed", "paused", "promoted", "unpromoted", "invalid"
        ],
        "batch": int | None,
        "why": str,
        "next_step": str,
    },
)


class ServedVersion(TypedDict):
    """The version of chart and server that an environment's deployments are to have."""

    environment: str
    version: str


class Upgrade(TypedDict):
    """How far the deployments are on their way to the version of chart and server to have.

    `environments` are in the order in which they move, each with that version; "" where none is.
    """

    state: Literal["Done", "Progressing", "Failed", "Halted", "Frozen"]
    message: str
    next_step: str
    halted: Halted | None
    environments: list[ServedVersion]
    batches: int
    done: int
    deployments: list[Move]
