"""Compute the environment variables of a step. Pure."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dags.project.definition import Project
from dags.project.fields import ParamValue

PASSED_ON = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "UV_CACHE_DIR",
    "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH",
})  # fmt: skip
"""All variables of the Airflow worker that a step may see; Airflow's secrets are not among them."""


@dataclass(frozen=True)
class StepRun:
    """One try of a step."""

    step: str
    needs: tuple[str, ...]
    dag_run_id: str
    folder: Path
    """The DAG run's folder; each step's output is a folder in it."""
    mlflow_run_id: str
    git_commit: str
    params: Mapping[str, ParamValue]


def base_environment(worker: Mapping[str, str], without_path: Path | None = None) -> dict[str, str]:
    """Filter the worker's variables for the processes that we start for a project.

    `without_path` is removed from PATH, because a step must not use the platform's own programs.
    """
    passed = {k: v for k, v in worker.items() if k in PASSED_ON or k.startswith("LC_")}
    if without_path is not None and "PATH" in passed:
        entries = passed["PATH"].split(":")
        passed["PATH"] = ":".join(e for e in entries if e and Path(e) != without_path)
    return {"DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1", **passed}


def step_variables(project: Project, run: StepRun) -> dict[str, str]:
    """Build the SCHNITZEL_* variables of a step, and MLFLOW_RUN_ID for MLflow's client.

    SCHNITZEL_OUTPUT and SCHNITZEL_INPUT_<STEP> are URIs of folders. Parameters are text unchanged,
    numbers as in JSON, `true` or `false`.
    """
    found = {
        "MLFLOW_RUN_ID": run.mlflow_run_id,
        "SCHNITZEL_RUN_ID": run.mlflow_run_id,
        "SCHNITZEL_PROJECT": project.name,
        "SCHNITZEL_MODEL": project.model,
        "SCHNITZEL_STEP": run.step,
        "SCHNITZEL_DAG_RUN": run.dag_run_id,
        "SCHNITZEL_GIT_COMMIT": run.git_commit,
        "SCHNITZEL_OUTPUT": (run.folder / run.step).as_uri(),
    }
    for need in run.needs:
        found[f"SCHNITZEL_INPUT_{need.upper()}"] = (run.folder / need).as_uri()
    for name, value in run.params.items():
        found[f"SCHNITZEL_PARAM_{name.upper()}"] = _text(value)
    if "seed" in run.params:
        found["SCHNITZEL_SEED"] = _text(run.params["seed"])
    if project.gate:
        for name, value in project.gate.model_dump().items():
            found[f"SCHNITZEL_GATE_{name.upper()}"] = _text(value)
    if project.promotion:
        found["SCHNITZEL_PROMOTION_TO"] = project.promotion.to
        found["SCHNITZEL_PROMOTION_WHEN"] = project.promotion.when
    return found


def split(command: str) -> list[str]:
    """Split a command into arguments like a shell.

    Raises:
        ValueError: a quotation is not closed.
    """
    return shlex.split(command)


def _text(value: ParamValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
