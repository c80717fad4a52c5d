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


def promote(about: Named) -> str:
    """With VERSION in the place of the number, which the reader puts in."""
    version = quote(f"{about.model}@VERSION")
    return f"schnitzel model promote {version} --to {quote(about.environment)}"
