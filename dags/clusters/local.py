"""Run steps on this machine."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dags import python_env
from dags.clusters.base import Launch
from dags.project.variables import base_environment, words


class LocalCluster:
    """This machine: `uv run` in the project's own environment, in the project's folder."""

    def prepare(self, folder: Path, log: Callable[[str], None]) -> None:
        """Build the project's environment if it is not there.

        Raises:
            ProjectEnvironmentFailed: it cannot be built.
        """
        python_env.ensure(folder, log)

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
        environment = base_environment(os.environ, without_path=Path(sys.executable).parent)
        environment["UV_PROJECT_ENVIRONMENT"] = str(python_env.ensure(folder, log))
        environment["PYTHONPATH"] = str(folder / "src")
        start = (python_env.uv(), "run", "--quiet", "--no-sync", "--project", str(folder), "--")
        return Launch((*start, *words(command)), environment | dict(variables), folder)
