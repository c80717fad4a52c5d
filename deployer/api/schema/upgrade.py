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
    """The target version of chart and server of an environment's deployments."""

    environment: str
    version: str


class Upgrade(TypedDict):
    """The progress of the deployments to the target version of chart and server.

    `environments` are in the order of the upgrade, each with that version; "" for any version.
    """

    state: Literal["Done", "Progressing", "Failed", "Halted", "Frozen"]
    message: str
    next_step: str
    halted: Halted | None
    environments: list[ServedVersion]
    batches: int
    done: int
    deployments: list[Move]
