"""Build commands about a deployment that can be pasted into a shell, whatever its name."""

from __future__ import annotations

from shlex import join, quote
from typing import Protocol


class Named(Protocol):
    """An object with the names of a registered model and an environment."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def environment(self) -> str: ...  # noqa: D102


def deploy(verb: str, about: Named, *flags: str) -> str:
    """Build a deploy command, as in "schnitzel deploy logs 'fraud score' -e prod"."""
    return join(["schnitzel", "deploy", verb, about.model, "-e", about.environment, *flags])


def promote(about: Named, number: int | str = "VERSION") -> str:
    """Build a promote command, as in "schnitzel model promote angler@2 --to prod".

    The default number, VERSION, is a placeholder for the reader to replace.
    """
    version = quote(f"{about.model}@{number}")
    return f"schnitzel model promote {version} --to {quote(about.environment)}"
