import json
import os
import shlex
import sys

import pytest

from dags import places, runs
from dags.errors import PipelineError, StepFailed
from dags.pipeline import build_dag
from dags.project.definition import Step, load

RUN = "manual__2026-01-01T00:00:00+00:00"


@pytest.fixture
def step_task(make_project):
    """The task of a step in a project's DAG."""

    def make(command, needs=()):
        steps = {name: Step(command="x") for name in needs}
        steps["only"] = Step(command=command, needs=needs)
        return build_dag(load(make_project()), steps).task_dict["only"]

    return make


@pytest.fixture
def run_step(home, step_task, monkeypatch):
    """Runs Python code as the step `only` of a project, as Airflow's task runner does."""
    monkeypatch.setenv("UV_OFFLINE", "1")  # the project needs nothing: no registry is asked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # no step's outcome needs it
    folder = places.run_folder("tiny", RUN)
    runs.write(folder, runs.RunRecord(mlflow_run_id="abc", git_commit="123"))
    lines = []

    def run(code, needs=(), **params):
        operator = step_task(shlex.join(["python", "-c", code]), needs)
        monkeypatch.setattr(operator, "_say", lines.append)
        operator.execute({"run_id": RUN, "params": params})
        return lines

    run.folder = folder  # type: ignore[attr-defined]
    run.lines = lines  # type: ignore[attr-defined]
    return run


def test_a_step_runs_in_the_projects_folder_with_the_projects_python(run_step, make_project):
    asked = "import os, sys, json; print(json.dumps([os.getcwd(), sys.prefix, sys.path[1]]))"
    where, prefix, path = json.loads(run_step(asked)[-1])
    folder = make_project()
    assert where == str(folder)
    assert prefix.startswith(str(places.cache() / "project-environments"))
    assert path == str(folder / "src")


def test_a_step_sees_only_what_it_may(run_step, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_DATABASE", "secret")
    seen = json.loads(run_step("import os, json; print(json.dumps(dict(os.environ)))", seed=3)[-1])
    assert "secret" not in seen.values()
    assert not [name for name in seen if name.startswith("AIRFLOW")]
    assert seen["MLFLOW_RUN_ID"] == "abc"
    assert seen["SCHNITZEL_SEED"] == "3"
    assert seen["SCHNITZEL_DAG_RUN"] == RUN
    assert os.path.dirname(sys.executable) not in seen["PATH"].split(":")  # noqa: PTH120


def test_a_step_starts_with_an_empty_output_folder_also_the_second_time(run_step):
    code = """
import os
from urllib.parse import urlsplit
folder = urlsplit(os.environ['SCHNITZEL_OUTPUT']).path
print(os.listdir(folder))
open(folder + '/made', 'w').close()
"""
    assert run_step(code)[-1] == "[]"
    assert run_step(code)[-1] == "[]"
    assert (run_step.folder / "only" / "made").exists()


def test_a_failing_step_names_command_exit_code_and_last_lines(run_step):
    with pytest.raises(StepFailed) as caught:
        run_step("print('on the way'); raise ValueError('no such column: urll')")
    said = str(caught.value)
    assert "step only: `python -c" in said
    assert "ended with exit code 1" in said
    assert "on the way" in said
    assert said.partition("\n\nhint: ")[0].endswith("ValueError: no such column: urll")
    assert "schnitzel train tiny" in caught.value.hint


def test_a_step_that_a_signal_ended_says_which(run_step):
    with pytest.raises(StepFailed, match=r"was ended by signal 9 \(SIGKILL: out of memory\?\)"):
        run_step("import os; os.kill(os.getpid(), 9)")


def test_exit_code_99_skips_with_the_last_line_as_the_reason(run_step):
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match=r"^not better than production$"):
        run_step("print('looking'); print('not better than production'); raise SystemExit(99)")


def test_a_command_that_is_not_there_is_a_failed_step(run_step, step_task):
    with pytest.raises(StepFailed, match=r"`no-such-program --fast` ended with exit code"):
        step_task("no-such-program --fast").execute({"run_id": RUN, "params": {}})


def test_a_step_without_an_open_run_says_what_to_clear(home, step_task):
    with pytest.raises(PipelineError, match="start_run"):
        step_task("x").execute({"run_id": "another", "params": {}})


def test_only_a_step_that_is_done_keeps_the_mlflow_run_open(run_step, step_task, monkeypatch):
    kept = []
    monkeypatch.setattr("dags.operator.StepOperator._keep_open", lambda _, run: kept.append(run))
    run_step("print('fine')")
    assert kept == ["abc"]
    with pytest.raises(StepFailed):
        run_step("raise SystemExit(1)")
    killed = step_task("sleep 600")
    killed.on_kill()  # by now end_run may have closed the run: it must stay closed
    with pytest.raises(StepFailed, match="was stopped"):
        killed.execute({"run_id": RUN, "params": {}})
    assert kept == ["abc"]
