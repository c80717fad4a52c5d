"""The name of a cluster in, how a step becomes a command there out."""

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


class LocalCluster:
    """This machine: `uv run` in the project's own environment, in the project's folder."""

    def prepare(self, folder: Path, log: Callable[[str], None]) -> None:
        """Build the project's environment if it is not there.

        Raises:
            ProjectEnvironmentFailed: it cannot be built.
        """
        from dags import environments

        environments.ensure(folder, log)

    def launch(
        self,
        folder: Path,
        command: str,
        variables: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Launch:
        """`uv run --no-sync`: the environment is complete, nothing is locked, fetched or installed.

        The project's `src` is put on the import path, so that the environment holds none of it and
        is shared by every checkout. An allow-list of the worker's environment is passed on.

        Raises:
            ProjectEnvironmentFailed: the environment cannot be built.
        """
        import os
        import sys

        from dags import environments
        from dags.variables import base_environment, words

        environment = base_environment(os.environ, without_path=Path(sys.executable).parent)
        environment["UV_PROJECT_ENVIRONMENT"] = str(environments.ensure(folder, log))
        environment["PYTHONPATH"] = str(folder / "src")
        start = (environments.uv(), "run", "--quiet", "--no-sync", "--project", str(folder), "--")
        return Launch((*start, *words(command)), environment | dict(variables), folder)


CLUSTERS: Mapping[str, Cluster] = {"local": LocalCluster()}
"""Every place that a step can name."""
