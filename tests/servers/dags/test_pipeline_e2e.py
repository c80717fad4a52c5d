"""Whole DAG runs by the real Airflow against a real MLflow, in homes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.run.process import lives
from support.run.wait import wait_for
from support.systems.databases import airflow_database
from support.systems.mlflow import MlflowServer

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
CACHE = os.environ.get("SCHNITZEL_CACHE") or str(Path.home() / ".cache" / "schnitzel")

# Leaves two processes behind it if it is not ended well: a child, and one in a session of its own.
LINGERING = """
import os, subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(600)']
pids = [os.getpid(), *(subprocess.Popen(sleep, start_new_session=s).pid for s in (False, True))]
print('still here', flush=True)
with open('pids.new', 'w') as file: file.write(' '.join(map(str, pids)))
os.rename('pids.new', 'pids')
time.sleep(600)
"""
LINGERS = """
    name: lingers
    owner: someone
    steps:
      linger: {command: python linger.py, timeout: TIMEOUT}
      after: {command: python -c 1, needs: [linger]}
"""


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, mlflow):
    """The environment of an Airflow with a database of its own, whose DAGs are the projects."""
    home = tmp_path_factory.mktemp("home")
    dags = home / "airflow" / "dags"
    dags.mkdir(parents=True)
    (home / "projects").mkdir()
    (dags / "schnitzel_projects.py").write_text(
        '"""An Airflow DAG for each registered project."""\n'
        "from dags.projects import register\nregister(globals())\n"
    )
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "MLFLOW"))},
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SCHNITZEL_HOME": str(home),
        "SCHNITZEL_CACHE": CACHE,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "MLFLOW_TRACKING_URI": mlflow.url,
    }
    airflow_database(home / "airflow" / "airflow.db")
    return environment


@pytest.fixture
def register_here(airflow):
    def register(folder):
        registration = f'{{"name": "{folder.name}", "path": "{folder}"}}'
        path = Path(airflow["SCHNITZEL_HOME"]) / "projects" / f"{folder.name}.json"
        path.write_text(registration)

    return register


def start(airflow, name):
    return subprocess.Popen(
        [BIN / "airflow", "dags", "test", name],
        env=airflow,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def run(airflow, name):
    with start(airflow, name) as process:
        return process.communicate(timeout=240)[0]


def runs(mlflow, experiment):
    """The MLflow runs of an experiment, newest first."""
    found = mlflow.get("experiments/get-by-name", experiment_name=experiment)
    body = {"experiment_ids": [found["experiment"]["experiment_id"]]}
    return mlflow.post("runs/search", **body)["runs"]


def pairs(entries):
    return {entry["key"]: entry["value"] for entry in entries}


@pytest.mark.timeout(600)
def test_the_forest_is_trained_registered_judged_and_promoted(airflow, mlflow, register_here):
    register_here(ROOT / "examples" / "iris-forest")
    name = "iris-forest"

    log = run(airflow, name)
    assert "promoted iris-forest version 1 to staging" in log, log
    version = mlflow.get("model-versions/get", name=name, version="1")["model_version"]
    tags = pairs(version["tags"])
    (first,) = runs(mlflow, name)
    assert first["info"]["status"] == "FINISHED"
    assert version["current_stage"] == "Staging"
    assert mlflow.get("registered-models/alias", name=name, alias="staging")["model_version"] == {
        **version,
        "aliases": ["staging"],
    }
    assert tags["schnitzel.project"] == name
    assert tags["schnitzel.run_id"] == version["run_id"] == first["info"]["run_id"]
    assert tags["schnitzel.dag_run"] == pairs(first["data"]["tags"])["schnitzel.dag_run"]
    assert len(tags["schnitzel.data_hash"]) == 64
    assert tags["schnitzel.gate"] == "passed"
    assert "nothing is in production" in tags["schnitzel.gate_reason"]
    assert pairs(first["data"]["params"]) == {"seed": "7", "trees": "50"}

    # Trained again with the same seed it is as good, so not better than what is in production.
    mlflow.alias(name, "champion", 1)
    log = run(airflow, name)
    tags = mlflow.tags(name, 2)
    assert tags["schnitzel.gate"] == "refused", log
    assert "is not better: production's version 1" in tags["schnitzel.gate_reason"]
    assert "not promoted: accuracy" in log
    assert (
        mlflow.get("model-versions/get", name=name, version="2")["model_version"]["current_stage"]
        == "None"
    )
    second = runs(mlflow, name)[0]
    assert second["info"]["status"] == "FINISHED"  # a "no" of the gate is no failure
    metrics = [pairs(each["data"]["metrics"]) for each in (first, second)]
    assert metrics[0] == metrics[1]
    assert metrics[0]["accuracy"] > 0.85


def test_a_step_that_takes_too_long_fails_the_run_and_leaves_no_process(
    airflow, mlflow, register_here, make_project
):
    folder = make_project(LINGERS.replace("TIMEOUT", "10s"), "lingers", linger__py=LINGERING)
    register_here(folder)
    log = run(airflow, "lingers")
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 3
    assert not [pid for pid in pids if lives(pid)]
    assert "still here" in log
    assert "AirflowTaskTimeout" in log
    assert "failed: after, linger" in log
    assert runs(mlflow, "lingers")[0]["info"]["status"] == "FAILED"


def test_a_killed_airflow_leaves_no_process_of_a_step(airflow, register_here, make_project):
    folder = make_project(LINGERS.replace("TIMEOUT", "1h"), "lingers", linger__py=LINGERING)
    register_here(folder)
    with start(airflow, "lingers") as process:
        wait_for((folder / "pids").exists, "the step")
        pids = [int(pid) for pid in (folder / "pids").read_text().split()]
        assert all(lives(pid) for pid in pids)
        process.kill()
        process.communicate(timeout=60)
    wait_for(lambda: not [pid for pid in pids if lives(pid)], "the end of the step")


def test_a_run_without_mlflow_fails_at_its_start_with_the_next_step(
    airflow, register_here, make_project
):
    register_here(make_project())
    log = run({**airflow, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "tiny")
    assert "TrackingFailed" in log
    assert "is MLflow running? `schnitzel status` says" in log
