"""The demo's path on all that is real; `train` and `run` with a project of three steps."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from support.golden import from_training_to_a_served_prediction
from support.platform.home import PlatformHome

from cli import errors
from stack.paths import Layout

pytestmark = pytest.mark.timeout(1200)

PROJECT = f"""\
name: small
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
PYPROJECT = '[project]\nname = "small"\nversion = "0.1"\nrequires-python = ">=3.11"\n'


@pytest.fixture(scope="module")
def demo(make_platform: Any, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A platform as `schnitzel up` starts it, with the project of three steps registered."""
    project = tmp_path_factory.mktemp("small")
    for name, text in (
        ("project.yaml", PROJECT),
        ("steps.py", STEPS),
        ("pyproject.toml", PYPROJECT),
    ):
        (project / name).write_text(text)
    platform: PlatformHome = make_platform("demo", whole=True)
    platform.cli("project", "add", str(project))
    platform.up()
    return platform


@pytest.fixture
def train(schnitzel: Any, demo: PlatformHome, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line in this process, at home in the platform."""
    monkeypatch.setenv("SCHNITZEL_HOME", str(demo.home))
    return schnitzel


def test_from_training_to_a_served_prediction(demo: PlatformHome) -> None:
    from_training_to_a_served_prediction(demo, "angler")


def test_up_again_changes_nothing_and_status_is_healthy(demo: PlatformHome) -> None:
    before = {
        c["name"]: c["pid"] for c in json.loads(demo.cli("status", "-o", "json"))["components"]
    }
    demo.cli("up")
    seen = json.loads(demo.cli("status", "-o", "json"))
    assert {c["name"]: c["pid"] for c in seen["components"]} == before
    assert {c["health"] for c in seen["components"]} == {"healthy"}
    assert seen["registry"]["state"] == "Fresh"
    assert seen["registry"]["webhooks"] is True


def test_a_run_is_followed_to_its_metrics_and_can_be_read_again(train) -> None:
    done = train("train", "small", "-p", "rounds=4", "-o", "json")
    assert done.code == 0, done.err
    told = [line.split()[:2] for line in done.err.splitlines()]
    ended = [
        step for step, state in (each for each in told if len(each) == 2) if state == "success"
    ]
    assert ended == ["prepare", "train", "check"]
    assert done.json["state"] == "success"
    assert done.json["mlflow_run"]["metrics"] == {"auc": 0.91}
    name = f"small/{done.json['run']}"

    shown = train("run", "show", name, "-o", "json").json
    assert [each["step"] for each in shown["steps"]] == ["prepare", "train", "check"]
    assert shown["parameters"] == {"rounds": 4}
    assert name in train("run", "list", "small").out
    log = train("run", "logs", name, "train").out
    assert "train with 4 rounds" in log
    assert "Pre Execute" not in log


def test_a_failed_step_is_named_with_its_last_log_lines(train) -> None:
    done = train("train", "small", "-p", "rounds=13", "-o", "json")
    assert done.code == errors.FAILED
    assert done.out == ""
    assert "thirteen is an unlucky number" in done.err
    assert "error: small failed in its step check" in done.err
    assert "hint: read it all: schnitzel run logs small/" in done.err
    assert "thirteen is an unlucky number" in train("run", "logs", "small").out


def test_a_parameter_of_the_wrong_type_starts_nothing(train) -> None:
    before = train("run", "list", "small", "-o", "json").json["runs"]
    done = train("train", "small", "-p", "rounds=many")
    assert done.code == errors.FAILED
    assert "rounds" in done.err
    assert train("run", "list", "small", "-o", "json").json["runs"] == before


def test_a_detached_run_is_started_and_not_followed(train) -> None:
    done = train("train", "small", "--detach")
    assert done.code == 0
    name = done.out.strip()
    assert name.startswith("small/manual__")
    late = train("train", "small", "--timeout", "0.1")
    assert late.code == errors.TIMED_OUT
    assert "it goes on" in late.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "show", "small/unheard-of"), "there is no run 'unheard-of' of small"),
        (("run", "show", "unheard-of"), "unheard-of has no runs"),
        (("run", "logs", "small", "chekc"), "did you mean 'check'?"),
    ],
)
def test_an_unknown_run_or_step_is_a_usage_error(train, words, message: str) -> None:
    if not train("run", "list", "small", "-o", "json").json["runs"]:
        train("train", "small", "--detach")
    shown = train(*words)
    assert shown.code == errors.USAGE
    assert message in shown.err


@pytest.mark.parametrize(("guess", "code"), [(None, errors.OK), ("wrong", errors.UNREACHABLE)])
def test_an_attached_airflow_is_entered_as_platform_yaml_says(
    train, demo: PlatformHome, monkeypatch: pytest.MonkeyPatch, guess: str | None, code: int
) -> None:
    layout = Layout(demo.home)
    password = json.loads(layout.airflow_passwords.read_text())["admin"]
    url = f"http://127.0.0.1:{json.loads(layout.ports.read_text())['airflow']}"
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__URL", url)
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__USERNAME", "admin")
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__PASSWORD_REF", "env:TEAM_PASSWORD")
    monkeypatch.setenv("TEAM_PASSWORD", guess or password)
    shown = train("run", "list", "small")
    assert shown.code == code, shown.err
    if guess:
        assert "Airflow refuses this" in shown.err
        assert guess not in shown.err
