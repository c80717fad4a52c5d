"""Run steps on this machine."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dags import python_env
from dags.clusters.base import Launch
from dags.project.variables import base_environment, split


class LocalCluster:
    """This machine: `uv run` in the project's own Python environment, in the project's folder."""

    def prepare(self, folder: Path, log: Callable[[str], None]) -> None:
        """Build the project's Python environment if it is missing.

        Raises:
            ProjectEnvironmentFailed: the Python environment cannot be built.
        """
        python_env.ensure(folder, log)

    def launch(
        self,
        folder: Path,
        command: str,
        variables: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Launch:
        """Build a `uv run --no-sync` command, which locks, fetches and installs nothing.

        The Python environment is complete. The project's `src` is put on the import path, so that
        the Python environment holds none of it and every checkout shares it. An allow-list of the
        worker's environment variables is passed on.

        Raises:
            ProjectEnvironmentFailed: the Python environment cannot be built.
        """
        environment = base_environment(os.environ, without_path=Path(sys.executable).parent)
        environment["UV_PROJECT_ENVIRONMENT"] = str(python_env.ensure(folder, log))
        environment["PYTHONPATH"] = str(folder / "src")
        start = (python_env.uv(), "run", "--quiet", "--no-sync", "--project", str(folder), "--")
        return Launch((*start, *split(command)), environment | dict(variables), folder)
