"""Empty databases of MLflow and Airflow in their present form, made once on a machine and copied.

To make one takes seconds of processor time at each start. tests/nightly/stack/test_platform.py
starts both without, as a person's first `schnitzel up` does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

# What a server does when it finds no table; it makes the first rows itself.
MLFLOW = """
import sys
from mlflow.store.db import utils
utils._initialize_tables(utils.create_sqlalchemy_engine(sys.argv[1]))
"""


def mlflow_database(target: Path) -> None:
    """Put a database at a path, unless one is there."""
    _copy("mlflow", metadata.version("mlflow"), target, ["-c", MLFLOW])


def airflow_database(target: Path) -> None:
    """Put a database at a path, unless one is there, with the note that it is up to date."""
    version = metadata.version("apache-airflow-core")
    _copy("airflow", version, target, ["-m", "airflow", "db", "migrate"])
    target.with_name("migrated-to").write_text(version)


def _copy(name: str, version: str, target: Path, command: list[str]) -> None:
    if target.exists():
        return
    cache = Path(os.environ.get("SCHNITZEL_CACHE") or "~/.cache/schnitzel").expanduser()
    folder = cache / "tests" / "databases"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{name}-{version}.db"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made, command)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, target)


def _make(made: Path, command: list[str]) -> None:
    """Make a database in a folder of its own; it has its name once it is whole."""
    with tempfile.TemporaryDirectory(dir=made.parent) as home:
        path = Path(home) / "made.db"
        url = f"sqlite:///{path}"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "MLFLOW_"))}
        env |= {"AIRFLOW_HOME": home, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        done = subprocess.run(
            [sys.executable, *command, *([url] if command[0] == "-c" else [])],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        path.rename(made)
