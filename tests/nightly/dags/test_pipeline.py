"""An example is trained twice by the real Airflow: judged, and promoted; a run without MLflow."""

import pytest
from support import ROOT
from support.fixtures.pipelines import pairs, run, runs


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


def test_a_run_without_mlflow_fails_at_its_start_with_the_next_step(
    airflow, register_here, make_project
):
    register_here(make_project())
    log = run({**airflow, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "tiny")
    assert "TrackingFailed" in log
    assert "is MLflow running? `schnitzel status` says" in log
