"""In: a deployment. Out: commands about it that can be pasted into a shell, whatever its name."""

from __future__ import annotations

from shlex import join, quote
from typing import Protocol


class Named(Protocol):
    """What has a registered model's and an environment's name."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def environment(self) -> str: ...  # noqa: D102


def deploy(verb: str, about: Named, *flags: str) -> str:
    """As in "schnitzel deploy logs 'fraud score' -e prod"."""
    return join(["schnitzel", "deploy", verb, about.model, "-e", about.environment, *flags])


def promote(about: Named, number: int | str = "VERSION") -> str:
    """As in "schnitzel model promote angler@2 --to prod"; VERSION is for the reader to put in."""
    version = quote(f"{about.model}@{number}")
    return f"schnitzel model promote {version} --to {quote(about.environment)}"
