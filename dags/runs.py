"""A DAG run's folder in, what its steps share out: MLflow run and commit, in run.json, no XCom."""

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
    """What start_run found out, for the steps after it."""

    mlflow_run_id: str
    git_commit: str
    """Empty outside a Git checkout; ends with `-dirty` if the project's files differ from it."""


def write(folder: Path, record: RunRecord) -> None:
    """Keep the record in the DAG run's folder, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{_FILE}.new"
    made.write_text(json.dumps(asdict(record), indent=2) + "\n")
    made.replace(folder / _FILE)


def read(folder: Path) -> RunRecord | None:
    """The record of the DAG run, or None if start_run has not been there."""
    try:
        return RunRecord(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None


def opened(folder: Path) -> RunRecord:
    """The record of the DAG run.

    Raises:
        PipelineError: start_run has not been there.
    """
    record = read(folder)
    if record is None:
        raise PipelineError(
            f"{folder / _FILE} is missing: this DAG run has no MLflow run",
            "clear the task start_run",
        )
    return record


def fresh_output(folder: Path, step: str) -> Path:
    """The step's output folder, empty: a second try starts where the first one started."""
    output = folder / step
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    return output


def git_commit(folder: Path, worker: Mapping[str, str]) -> str:
    """The commit of the project's folder, with `-dirty` if it has changes; empty without Git."""

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
