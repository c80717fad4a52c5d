"""Each way in which a version can fail: its sentence, and the old version still answering."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from support.models import log_models

pytestmark = pytest.mark.timeout(1800)

UNBUILDABLE = ["mlflow==3.17.2", "no-such-package-of-schnitzel==1.2.3"]
# By model: how version 2, version 3 and so on fail, the reason, a word of the message, and what is
# logged. The last one of each is promoted while everything is restarted.
FATES: dict[str, dict[str, tuple[str, str, dict[str, Any]]]] = {
    "fated-loads": {
        "refuses-example": ("ExampleRefused", "example", {}),
        "answers-text": ("ExampleRefused", "signature", {}),
        "slow-load": ("NotReadyInTime", "within 4 s",
                      {"serving": {"rollout": {"ready_timeout": "4s"}}}),
        "dies-at-load": ("LoadError", "", {}),
        "load-error": ("LoadError", "cannot open the vault", {}),
    },
    "fated-builds": {
        "eats-memory": ("OutOfMemory", "600", {"serving": {"resources": {"memory": "600Mi"}}}),
        "no-such-package": ("EnvironmentUnbuildable", "no-such-package-of-schnitzel",
                            {"kind": "constant", "requirements": UNBUILDABLE}),
        "no-such-python": ("PythonUnavailable", "3.4", {"kind": "constant", "python": "3.4.1"}),
        "no-artifact": ("ArtifactMissing", "", {"kind": "constant"}),
    },
    "fated-specs": {
        "over-limit": ("SpecInvalid", "10000",
                       {"kind": "constant", "serving": {"replicas": 10_000}}),
        "bad-spec": ("SpecInvalid", "replicas",
                     {"kind": "constant", "serving_text": "replicas: many\n"}),
    },
}  # fmt: skip
VERSIONS = [
    (model, version, fate)
    for model, fates in FATES.items()
    for version, fate in enumerate(fates, 2)
]


@pytest.fixture(scope="module")
def fated(quick):
    """The quick platform where version 1 of each model serves, and the others can be promoted."""
    models = [{"name": model, "kind": "constant", "say": 1} for model in FATES]
    models += [
        {"name": model, "kind": fate, "say": version} | FATES[model][fate][2]
        for model, version, fate in VERSIONS
    ]
    log_models(quick.url("mlflow"), models)
    [lost] = [f"{model}-{version}" for model, version, fate in VERSIONS if fate == "no-artifact"]
    [folder] = quick.home.glob(f"mlflow/artifacts/*/*/artifacts/{lost}")
    shutil.rmtree(folder)
    for model in FATES:
        quick.mlflow.stage(model, 1, "Production")
    for model in FATES:
        quick.wait_serving(model, 1, seconds=240)
    return quick


@pytest.mark.parametrize(("model", "version", "fate"), VERSIONS)
def test_a_version_that_fails_says_why_and_the_old_one_answers(fated, model, version, fate):
    quick, mlflow = fated, fated.mlflow
    reason, words, _ = FATES[model][fate]
    mlflow.stage(model, version, "Production")

    def failed(seen: dict[str, Any]) -> bool:
        return seen["wanted"]["version"] == str(version) and seen["state"] == "Degraded"

    seen = quick.wait(model, failed, seconds=120)
    assert seen["reason"] == reason, seen
    assert words in seen["message"], seen["message"]
    assert "version 1 keeps serving" in seen["message"]
    assert seen["next_step"]
    tried_again = fate in ("dies-at-load", "eats-memory")
    assert ("retried automatically" in seen["next_step"]) == tried_again
    assert "hunter2" not in quick.logs(400)
    response = quick.predict(seen["url"])
    assert (response.status_code, response.json()["predictions"]) == (200, [1])
    status = "schnitzel.prod.status"
    quick.wait(model, lambda _: reason in mlflow.tags(model, version).get(status, ""))
    quick.wait(model, lambda d: [p["version"] for p in d["predictors"]] == ["1"])
    said = quick.cli("deploy", "status", model, "-e", "prod")
    assert reason in said
    assert "next step" in said


def test_everything_restarted_with_broken_versions_promoted_serves_the_last_good_ones(fated):
    quick = fated
    for model, fates in FATES.items():
        quick.mlflow.stage(model, len(fates) + 1, "Production")
        quick.wait(model, lambda d: d["state"] == "Degraded", seconds=120)
    quick.cli("down")
    quick.up("mlflow", "gateway", "deployer")
    for model in FATES:
        seen = quick.wait(
            model,
            lambda d: d["predictors"] and d["serving"] == {"version": "1"}
            and {p["version"]: p["weight"] for p in d["predictors"]}.get("1") == 100
            and any(p["phase"] == "ready" for p in d["predictors"]),
            seconds=240,
        )  # fmt: skip
        response = quick.predict(seen["url"])
        assert response.status_code == 200, response.text
        assert response.json()["predictions"] == [1]
