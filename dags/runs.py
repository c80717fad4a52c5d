"""Share the MLflow run and the commit among the steps of a DAG run, by run.json, without XCom."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dags.errors import PipelineError
from dags.project.variables import base_environment

_FILE = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """The record that start_run leaves for the steps after it."""

    mlflow_run_id: str
    git_commit: str
    """Empty outside a Git checkout; ends with `-dirty` if the project's files differ from it."""


def write(folder: Path, record: RunRecord) -> None:
    """Write the record into the DAG run's folder, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{_FILE}.new"
    made.write_text(json.dumps(asdict(record), indent=2) + "\n")
    made.replace(folder / _FILE)


def read(folder: Path) -> RunRecord | None:
    """Read the record of the DAG run; None if start_run has not run."""
    try:
        return RunRecord(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None


def opened(folder: Path) -> RunRecord:
    """Read the record of a DAG run that must be open.

    Raises:
        PipelineError: start_run has not run.
    """
    record = read(folder)
    if record is None:
        raise PipelineError(
            f"{folder / _FILE} is missing: this DAG run has no MLflow run",
            "clear the task start_run",
        )
    return record


def fresh_output(folder: Path, step: str) -> Path:
    """Create the step's output folder, empty: a retry starts where the first try started."""
    output = folder / step
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    return output


def git_commit(folder: Path, worker: Mapping[str, str]) -> str:
    """Return the commit of a project's folder, with `-dirty` if it has changes; "" without Git."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments],
                env=base_environment(worker),
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if not commit:
        return ""
    return f"{commit}-dirty" if git("status", "--porcelain", "--", ".") else commit
