import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dags import places
from dags.project.definition import load
from dags.project.variables import StepRun, base_environment, step_variables


@pytest.fixture
def run(tmp_path):
    return StepRun(
        step="train",
        needs=("prepare",),
        dag_run_id="manual__1",
        folder=tmp_path / "run",
        mlflow_run_id="abc",
        git_commit="123",
        params={"seed": 7, "rate": 0.5, "fast": True, "note": "hello world"},
    )


def test_a_step_is_told_where_it_stands(make_project, run, tmp_path):
    told = step_variables(load(make_project()), run)
    assert told["SCHNITZEL_PROJECT"] == told["SCHNITZEL_MODEL"] == "tiny"
    assert told["MLFLOW_RUN_ID"] == told["SCHNITZEL_RUN_ID"] == "abc"
    assert told["SCHNITZEL_DAG_RUN"] == "manual__1"
    assert told["SCHNITZEL_GIT_COMMIT"] == "123"
    assert told["SCHNITZEL_OUTPUT"] == (tmp_path / "run" / "train").as_uri()
    assert told["SCHNITZEL_INPUT_PREPARE"] == (tmp_path / "run" / "prepare").as_uri()


def test_parameters_are_handed_over_as_text(make_project, run):
    told = step_variables(load(make_project()), run)
    assert told["SCHNITZEL_SEED"] == told["SCHNITZEL_PARAM_SEED"] == "7"
    assert told["SCHNITZEL_PARAM_RATE"] == "0.5"
    assert told["SCHNITZEL_PARAM_FAST"] == "true"
    assert told["SCHNITZEL_PARAM_NOTE"] == "hello world"


def test_gate_and_promotion_are_handed_over_only_if_the_project_has_them(make_project, run):
    told = step_variables(load(make_project()), run)
    assert not [name for name in told if "GATE" in name or "PROMOTION" in name]
    more = "gate: {metric: auc, floor: 0.9}\npromotion: {}\n"
    folder = make_project()
    path = folder / "project.yaml"
    path.write_text(path.read_text() + more)
    told = step_variables(load(folder), run)
    assert told["SCHNITZEL_GATE_METRIC"] == "auc"
    assert (told["SCHNITZEL_GATE_FLOOR"], told["SCHNITZEL_GATE_MARGIN"]) == ("0.9", "0.0")
    assert (told["SCHNITZEL_PROMOTION_TO"], told["SCHNITZEL_PROMOTION_WHEN"]) == ("staging", "gate")


@pytest.mark.parametrize(
    "secret",
    [
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW_CONN_DATABASE",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "SCHNITZEL_HOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "UV_INDEX_PASSWORD",
    ],
)
def test_the_workers_own_environment_is_not_passed_on(secret):
    assert secret not in base_environment({secret: "x", "HOME": "/h"})


def test_what_a_step_needs_of_the_machine_is_passed_on():
    worker = {
        "HOME": "/h",
        "LC_ALL": "C",
        "MLFLOW_TRACKING_URI": "http://m",
        "MLFLOW_TRACKING_TOKEN": "t",
    }
    assert base_environment(worker).items() >= worker.items()


def test_the_platforms_programs_are_not_on_a_steps_path():
    passed = base_environment({"PATH": "/venv/bin:/usr/bin::/bin"}, without_path=Path("/venv/bin"))
    assert passed["PATH"] == "/usr/bin:/bin"


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=2, unique=True))
def test_distinct_runs_have_distinct_folders_with_plain_names(names):
    first, second = (places.run_folder("dag", name) for name in names)
    assert first != second
    for folder in (first, second):
        assert folder.parent == places.home() / "runs" / "dag"
        assert folder.name not in {".", ".."}
        assert json.dumps(folder.name) == f'"{folder.name}"'
        assert "%" not in folder.as_uri().rpartition("/")[2]
