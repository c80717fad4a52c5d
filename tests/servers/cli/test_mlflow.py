"""`model` and `predict --example` against a real MLflow server."""

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.systems.mlflow import MlflowServer

from cli import errors

LOG_TWO_VERSIONS = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("angler")

class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[dict[str, float]]) -> list[float]:
        return [sum(row.values()) for row in model_input]

for number in (1, 2):
    tags = {"schnitzel.project": "angler", "schnitzel.dag_run": f"manual__{number}"}
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_metric("auc", 0.9 + number / 100)
        example = [{"a": 1.0, "b": 2.0}] if number == 2 else None
        model = mlflow.pyfunc.log_model(
            name="model", python_model=Sum(), input_example=example,
            registered_model_name="angler", pip_requirements=["mlflow"])
        mlflow.MlflowClient().set_model_version_tag(
            "angler", model.registered_model_version, "schnitzel.dag_run", f"manual__{number}")
mlflow.MlflowClient().create_registered_model("it's empty")
"""


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with two versions of angler."""
    folder = tmp_path_factory.mktemp("mlflow")
    with closing(MlflowServer(folder)) as server:
        server.start()
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LOG_TWO_VERSIONS, server.url],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"},
            cwd=folder,
            check=True,
            capture_output=True,
        )
        yield server.url


@pytest.fixture
def mlflow(mlflow_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SCHNITZEL_MLFLOW__URL", mlflow_url)
    (home / "ports.json").write_text('{"deployer": 1}')
    return mlflow_url


def versions(schnitzel: Any, model: str = "angler") -> dict[str, Any]:
    found = schnitzel("model", "show", model, "-o", "json").json["versions"]
    return {each["version"]: each for each in found}


def test_the_models_are_listed(schnitzel, mlflow) -> None:
    models = schnitzel("model", "list", "-o", "json").json["models"]
    assert [each["name"] for each in models] == ["angler", "it's empty"]
    assert models[0]["latest"] == "2"
    assert models[1]["latest"] is None
    assert "angler" in schnitzel("model", "list").out


def test_a_version_is_shown_with_its_metrics_and_lineage(schnitzel, mlflow) -> None:
    found = schnitzel("model", "show", "angler@2", "-o", "json").json
    assert found["run"]["metrics"] == {"auc": 0.92}
    assert found["tags"]["schnitzel.dag_run"] == "manual__2"
    text = schnitzel("model", "show", "angler@latest").out
    assert "angler version 2" in text
    assert "auc" in text


def test_a_model_whose_name_has_a_quote_is_found(schnitzel, mlflow) -> None:
    assert versions(schnitzel, "it's empty") == {}
    shown = schnitzel("model", "show", "it's empty@1")
    assert shown.code == errors.USAGE
    assert "has no versions" in shown.err


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("anglr", "did you mean 'angler'?"),
        ("angler@7", "it has: 2, 1"),
        ("angler@championn", "no version of angler 'championn'"),
    ],
)
def test_an_unknown_model_or_version_is_answered_with_what_there_is(
    schnitzel, mlflow, typed: str, words: str
) -> None:
    shown = schnitzel("model", "show", typed)
    assert shown.code == errors.USAGE
    assert words in shown.err


def test_promotion_moves_alias_and_stage_and_archives_the_rest(schnitzel, mlflow, home) -> None:
    refused = schnitzel("model", "promote", "angler@1", "--to", "prod")
    assert refused.code == errors.USAGE
    assert "--yes" in refused.err
    dry = schnitzel("model", "promote", "angler@1", "--to", "prod", "--dry-run", "-o", "json")
    assert dry.json["promotion"]["stage"] == "Production"
    assert "champion" not in versions(schnitzel)["1"]["aliases"]

    done = schnitzel("model", "promote", "angler@1", "--to", "prod", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["plan"] is None
    assert "start it with: schnitzel up" in done.err
    assert "champion" in versions(schnitzel)["1"]["aliases"]
    assert versions(schnitzel)["1"]["stage"] == "Production"
    assert versions(schnitzel)["1"]["tags"]["schnitzel.prod.promoted_by"] == getpass.getuser()

    # By the stage's name, by an alias of the version, and back.
    (home / "token").write_text("ada:s3cret\n")
    assert schnitzel("model", "promote", "angler@2", "--to", "production", "--yes").code == 0
    assert versions(schnitzel)["2"]["tags"]["schnitzel.prod.promoted_by"] == "ada"
    assert versions(schnitzel)["1"]["stage"] == "Archived"
    assert versions(schnitzel)["2"]["aliases"] == ["champion"]
    again = schnitzel("model", "promote", "angler@champion", "--to", "prod", "--yes")
    assert again.code == 0
    assert "promoted to prod already" in again.err
    [angler, _] = schnitzel("model", "list", "-o", "json").json["models"]
    assert angler["aliases"]["champion"] == "2"


def test_the_plan_that_follows_a_promotion_is_printed(
    schnitzel, mlflow, deployer, deployment, plan, steps
) -> None:
    before = {"deployments": [], "registry": {}}
    wanted = {"version": "1", "via": "stage Staging", "since": None}
    seen = deployment(
        id="angler-staging", environment="staging", wanted=wanted, state="Progressing"
    )
    served = {**seen, "state": "Serving", "serving": {"version": "1"}}
    after = {"deployments": [seen], "registry": {}}
    then = {"deployments": [served], "registry": {}}
    deployer.answer("GET", "/api/v1/deployments", steps(before, before, after, after, then))
    deployer.answer("GET", "/api/v1/deployments/angler-staging/plan", plan())
    staging = {"name": "staging", "stage": "Staging", "alias": "staging"}
    deployer.answer("GET", "/api/v1/environments", {"environments": [staging]})
    done = schnitzel(
        *("model", "promote", "angler@1", "--to", "staging", "--yes", "--wait", "-o", "json")
    )
    assert done.code == 0, done.err
    assert done.json["plan"] == plan()
    assert done.json["promotion"]["alias"] == {"name": "staging", "from": None, "to": "1"}
    assert "angler@staging serves version 1" in done.err
    steps_said = [line for line in done.err.splitlines() if line.startswith("next: ")]
    assert steps_said == ["next: schnitzel predict angler@staging --example"]


@pytest.mark.parametrize(
    ("to", "hint"), [("prd", "did you mean 'prod'?"), ("x", "there is: staging, prod")]
)
def test_an_unknown_environment_is_answered_with_what_there_is(
    schnitzel, mlflow, to: str, hint: str
) -> None:
    shown = schnitzel("model", "promote", "angler@1", "--to", to)
    assert shown.code == errors.USAGE
    assert hint in shown.err


def test_predict_sends_the_model_s_own_example(schnitzel, mlflow, deployer, deployment) -> None:
    url = f"{deployer.url}/prod/angler/"
    here = {"deployments": [deployment(url=url)], "registry": {}}
    deployer.answer("GET", "/api/v1/deployments", here)
    deployer.answer("POST", "/prod/angler/invocations", {"predictions": [3.0]})
    shown = schnitzel("predict", "angler", "--example")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out) == {"predictions": [3.0]}
    (sent,) = deployer.requests("POST")
    assert "inputs" in sent["body"] or "dataframe_split" in sent["body"]
    assert "1.0" in json.dumps(sent["body"])


def test_a_version_without_an_example_says_so(schnitzel, mlflow, deployer, deployment) -> None:
    here = {"deployments": [deployment(serving={"version": "1"})], "registry": {}}
    deployer.answer("GET", "/api/v1/deployments", here)
    shown = schnitzel("predict", "angler", "--example")
    assert shown.code == errors.USAGE
    assert "without an input example" in shown.err


def test_the_run_of_a_pipeline_run_is_found_by_its_tag(mlflow_url: str) -> None:
    from cli.clients.http import Service
    from cli.clients.mlflow import Registry

    registry = Registry(Service("MLflow", mlflow_url))
    run = registry.trained_by("angler", "manual__2")
    assert run is not None
    assert run["metrics"] == {"auc": 0.92}
    assert [each["version"] for each in registry.registered_by("manual__2")] == ["2"]
    assert registry.trained_by("angler", "manual__9") is None
    assert registry.trained_by("unheard-of", "manual__1") is None
