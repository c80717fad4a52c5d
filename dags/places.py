"""SCHNITZEL_HOME and SCHNITZEL_CACHE in, the folders that pipelines use out."""

import hashlib
import os
import re
from pathlib import Path


def home() -> Path:
    """The platform's state: SCHNITZEL_HOME, by default ~/.local/state/schnitzel."""
    return Path(
        os.environ.get("SCHNITZEL_HOME") or Path.home() / ".local/state/schnitzel"
    ).absolute()


def cache() -> Path:
    """What can be made again: SCHNITZEL_CACHE, by default ~/.cache/schnitzel."""
    return Path(os.environ.get("SCHNITZEL_CACHE") or Path.home() / ".cache/schnitzel").absolute()


def run_folder(dag_id: str, dag_run_id: str) -> Path:
    """HOME/runs/DAG/RUN, with one folder for each step's output; distinct for distinct DAG runs.

    Airflow's run ids carry `:` and `+`, which do not survive in every URI: a readable form of the
    id is followed by a hash of the true one.
    """
    return home() / "runs" / _safe(dag_id) / _safe(dag_run_id)


def _safe(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    if readable == name and name not in {".", ".."} and len(name) <= 120:
        return name
    return f"{readable[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
