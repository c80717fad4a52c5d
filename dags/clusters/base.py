"""Declare the protocol of a cluster: prepare a project, and turn its steps into commands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Launch:
    """A command for the Airflow worker to start, with its variables and directory."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path


class Cluster(Protocol):
    """A place where steps run."""

    def prepare(self, folder: Path, log: Callable[[str], None]) -> None:
        """Prepare the project in `folder` for its steps, once; report progress on `log`."""

    def launch(
        self,
        folder: Path,
        command: str,
        variables: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Launch:
        """Build the command, its environment variables and its directory for a step."""
