"""Locate the folders of pipelines under SCHNITZEL_HOME and SCHNITZEL_CACHE."""

import hashlib
import os
import re
from pathlib import Path


def home() -> Path:
    """Return the folder of the platform's state: by default ~/.local/state/schnitzel."""
    return Path(
        os.environ.get("SCHNITZEL_HOME") or Path.home() / ".local/state/schnitzel"
    ).absolute()


def cache() -> Path:
    """Return the folder of data that can be rebuilt: by default ~/.cache/schnitzel."""
    return Path(os.environ.get("SCHNITZEL_CACHE") or Path.home() / ".cache/schnitzel").absolute()


def run_folder(dag_id: str, dag_run_id: str) -> Path:
    """Return HOME/runs/DAG/RUN, the folder of a DAG run's outputs, distinct for each DAG run.

    The folder has a folder for each step's output. Airflow's run ids carry `:` and `+`, which do
    not survive in every URI: a hash of the true id follows a readable form of it.
    """
    return home() / "runs" / _safe(dag_id) / _safe(dag_run_id)


def _safe(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    if readable == name and name not in {".", ".."} and len(name) <= 120:
        return name
    return f"{readable[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
