"""Build commands about a deployment that can be pasted into a shell, whatever its name."""

from __future__ import annotations

from shlex import join
from typing import Protocol


class Named(Protocol):
    """What has a registered model's and an environment's name."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def environment(self) -> str: ...  # noqa: D102


def command(verb: str, name: str, *flags: str) -> str:
    """Build `schnitzel VERB NAME FLAGS`; a name that looks like a flag comes last, after `--`."""
    command = ["schnitzel", *verb.split()]
    return join(
        [*command, *flags, "--", name] if name.startswith("-") else [*command, name, *flags]
    )


def deploy(verb: str, about: Named, *flags: str) -> str:
    """Build "schnitzel deploy logs 'fraud score' -e prod"."""
    return command(f"deploy {verb}", about.model, "-e", about.environment, *flags)


def queue(verb: str, about: Named) -> str:
    """Build "schnitzel queue show angler -e prod"."""
    return command(f"queue {verb}", about.model, "-e", about.environment)


def promote(about: Named, number: int | str = "VERSION") -> str:
    """Build "schnitzel model promote angler@2 --to prod"; the reader puts in VERSION."""
    return command("model promote", f"{about.model}@{number}", "--to", about.environment)
