"""What a cluster does: prepare what a project needs, and make commands of its steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Launch:
    """A command ready to be started from the Airflow worker."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path


class Cluster(Protocol):
    """A place where steps run."""

    def prepare(self, folder: Path, log: Callable[[str], None]) -> None:
        """Make what the steps of the project in `folder` need, once; says on `log` what it does."""

    def launch(
        self,
        folder: Path,
        command: str,
        variables: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Launch:
        """The command, its environment and its directory for one step of the project."""
