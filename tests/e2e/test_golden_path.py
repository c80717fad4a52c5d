"""The demo's path on everything that is real: Airflow trains, MLflow registers, it is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def demo(make_platform):
    platform = make_platform("demo")
    platform.up()
    return platform


@pytest.mark.parametrize("project", ["angler", "iris-forest"])
def test_from_training_to_a_served_prediction(demo, project):
    demo.cli("project", "add", str(EXAMPLES / project))
    trained = demo.cli("train", project)
    assert "1" in trained
    tags = demo.mlflow.tags(project, 1)
    assert tags["schnitzel.project"] == project
    assert {"schnitzel.dag_run", "schnitzel.data_hash"} <= set(tags)
    staged = demo.wait_serving(project, 1, "staging", seconds=400)
    assert staged["wanted"]["via"] in ("stage Staging", "alias staging")
    demo.cli("model", "promote", f"{project}@1", "--to", "prod", "--yes", "--wait")
    seen = demo.wait_serving(project, 1)
    answer = json.loads(demo.cli("predict", project, "-e", "prod", "--example"))
    assert answer["predictions"]
    ready = demo.client.get(f"{seen['url']}v2/models/{project}/ready")
    assert (ready.status_code, ready.headers["x-schnitzel-model-version"]) == (200, "1")


def test_up_again_changes_nothing_and_status_is_healthy(demo):
    before = {
        c["name"]: c["pid"] for c in json.loads(demo.cli("status", "-o", "json"))["components"]
    }
    demo.cli("up")
    seen = json.loads(demo.cli("status", "-o", "json"))
    assert {c["name"]: c["pid"] for c in seen["components"]} == before
    assert {c["health"] for c in seen["components"]} == {"healthy"}
    assert seen["registry"]["state"] == "Fresh"
    assert seen["registry"]["webhooks"] is True
