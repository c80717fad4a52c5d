"""`train` and `run` against a real Airflow and MLflow, with a project of three small steps."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.run.ports import free_port
from support.systems.databases import airflow_database, mlflow_database

from cli import errors
from stack import platform
from stack.errors import StackError
from stack.paths import Layout

pytestmark = pytest.mark.timeout(1200)

PROJECT = f"""\
name: demo
owner: ada
params: {{rounds: 3}}
steps:
  prepare: {{command: "{sys.executable} steps.py"}}
  train: {{command: "{sys.executable} steps.py", needs: [prepare]}}
  check: {{command: "{sys.executable} steps.py", needs: [train]}}
"""
STEPS = """\
import json, os, sys, time, urllib.request
step, rounds = os.environ["SCHNITZEL_STEP"], os.environ["SCHNITZEL_PARAM_ROUNDS"]
print(f"{step} with {rounds} rounds", flush=True)
if step == "train":
    metric = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "auc", "value": 0.91,
              "timestamp": int(time.time() * 1000), "step": 0}
    url = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(metric).encode(), headers))
if step == "check" and rounds == "13":
    sys.exit("thirteen is an unlucky number")
"""
PYPROJECT = '[project]\nname = "demo"\nversion = "0.1"\nrequires-python = ">=3.11"\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which MLflow and Airflow run, with the project demo registered."""
    folder = tmp_path_factory.mktemp("training")
    project = folder / "demo"
    project.mkdir()
    for name, text in (
        ("project.yaml", PROJECT),
        ("steps.py", STEPS),
        ("pyproject.toml", PYPROJECT),
    ):
        (project / name).write_text(text)
    layout = Layout(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SCHNITZEL_", "AIRFLOW_"))]:
            patch.delenv(name)
        patch.setenv("SCHNITZEL_HOME", str(layout.home))
        patch.setenv("SCHNITZEL_CACHE", str(folder / "cache"))
        for part in ("MLFLOW", "AIRFLOW"):  # not those of a platform that runs here
            patch.setenv(f"SCHNITZEL_{part}__PORT", str(free_port()))
        layout.projects.mkdir(parents=True)
        (layout.projects / "demo.json").write_text(f'{{"name": "demo", "path": "{project}"}}')
        mlflow_database(layout.mlflow_database)
        airflow_database(layout.airflow / "airflow.db")
        try:
            platform.up(layout=layout, only=("mlflow", "airflow"))
            yield layout.home
        except StackError as error:
            raise AssertionError(str(error)) from error
        finally:
            platform.down(layout=layout)


@pytest.fixture
def train(schnitzel: Any, running: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SCHNITZEL_HOME", str(running))
    return schnitzel


def test_a_run_is_followed_to_its_metrics_and_can_be_read_again(train) -> None:
    done = train("train", "demo", "-p", "rounds=4", "-o", "json")
    assert done.code == 0, done.err
    told = [line.split()[:2] for line in done.err.splitlines()]
    ended = [
        step for step, state in (each for each in told if len(each) == 2) if state == "success"
    ]
    assert ended == ["prepare", "train", "check"]
    assert done.json["state"] == "success"
    assert done.json["mlflow_run"]["metrics"] == {"auc": 0.91}
    name = f"demo/{done.json['run']}"

    shown = train("run", "show", name, "-o", "json").json
    assert [each["step"] for each in shown["steps"]] == ["prepare", "train", "check"]
    assert shown["parameters"] == {"rounds": 4}
    assert name in train("run", "list", "demo").out
    log = train("run", "logs", name, "train").out
    assert "train with 4 rounds" in log
    assert "Pre Execute" not in log


def test_a_failed_step_is_named_with_its_last_log_lines(train) -> None:
    done = train("train", "demo", "-p", "rounds=13", "-o", "json")
    assert done.code == errors.FAILED
    assert done.out == ""
    assert "thirteen is an unlucky number" in done.err
    assert "error: demo failed in its step check" in done.err
    assert "hint: read it all: schnitzel run logs demo/" in done.err
    assert "thirteen is an unlucky number" in train("run", "logs", "demo").out


def test_a_parameter_of_the_wrong_type_starts_nothing(train) -> None:
    before = train("run", "list", "demo", "-o", "json").json["runs"]
    done = train("train", "demo", "-p", "rounds=many")
    assert done.code == errors.FAILED
    assert "rounds" in done.err
    assert train("run", "list", "demo", "-o", "json").json["runs"] == before


def test_a_detached_run_is_started_and_not_followed(train) -> None:
    done = train("train", "demo", "--detach")
    assert done.code == 0
    name = done.out.strip()
    assert name.startswith("demo/manual__")
    late = train("train", "demo", "--timeout", "0.1")
    assert late.code == errors.TIMED_OUT
    assert "it goes on" in late.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "show", "demo/unheard-of"), "there is no run 'unheard-of' of demo"),
        (("run", "show", "unheard-of"), "unheard-of has no runs"),
        (("run", "logs", "demo", "chekc"), "did you mean 'check'?"),
    ],
)
def test_an_unknown_run_or_step_is_a_usage_error(train, words, message: str) -> None:
    if not train("run", "list", "demo", "-o", "json").json["runs"]:
        train("train", "demo", "--detach")
    shown = train(*words)
    assert shown.code == errors.USAGE
    assert message in shown.err


@pytest.mark.parametrize(("guess", "code"), [(None, errors.OK), ("wrong", errors.UNREACHABLE)])
def test_an_attached_airflow_is_entered_as_platform_yaml_says(
    train, running: Path, monkeypatch: pytest.MonkeyPatch, guess: str | None, code: int
) -> None:
    layout = Layout(running)
    password = json.loads(layout.airflow_passwords.read_text())["admin"]
    url = f"http://127.0.0.1:{json.loads(layout.ports.read_text())['airflow']}"
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__URL", url)
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__USERNAME", "admin")
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__PASSWORD_REF", "env:TEAM_PASSWORD")
    monkeypatch.setenv("TEAM_PASSWORD", guess or password)
    shown = train("run", "list", "demo")
    assert shown.code == code, shown.err
    if guess:
        assert "Airflow refuses this" in shown.err
        assert guess not in shown.err
