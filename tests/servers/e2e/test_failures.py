"""Each way in which a version can fail: its sentence, and the old version still answering."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from support.models import log_models

pytestmark = pytest.mark.timeout(1800)

BAD: dict[str, dict[str, Any]] = {
    "load-error": {},
    "refuses-example": {},
    "answers-text": {},
    "slow-load": {"serving": {"rollout": {"ready_timeout": "4s"}}},
    "dies-at-load": {},
    "eats-memory": {"serving": {"resources": {"memory": "600Mi"}}},
    "no-such-package": {
        "kind": "constant",
        "requirements": ["mlflow==3.17.2", "no-such-package-of-schnitzel==1.2.3"],
    },
    "no-such-python": {"kind": "constant", "python": "3.4.1"},
    "no-artifact": {"kind": "constant"},
    "bad-spec": {"kind": "constant", "serving_text": "replicas: many\n"},
    "over-limit": {"kind": "constant", "serving": {"replicas": 10_000}},
}
FATES = {
    "load-error": ("LoadError", "cannot open the vault"),
    "refuses-example": ("ExampleRefused", "example"),
    "answers-text": ("ExampleRefused", "signature"),
    "slow-load": ("NotReadyInTime", "within 4 s"),
    "dies-at-load": ("LoadError", ""),
    "eats-memory": ("OutOfMemory", "600"),
    "no-such-package": ("EnvironmentUnbuildable", "no-such-package-of-schnitzel"),
    "no-such-python": ("PythonUnavailable", "3.4"),
    "no-artifact": ("ArtifactMissing", ""),
    "bad-spec": ("SpecInvalid", "replicas"),
    "over-limit": ("SpecInvalid", "10000"),
}


@pytest.fixture(scope="module")
def fated(quick):
    """The quick platform where version 1 of each model serves and its version 2 is promoted."""
    models = []
    for name, how in BAD.items():
        models.append({"name": name, "kind": "constant", "say": 1})
        models.append({"name": name, "kind": name, "say": 2} | how)
    log_models(quick.url("mlflow"), models)
    [folder] = quick.home.glob("mlflow/artifacts/*/*/artifacts/no-artifact-2")
    shutil.rmtree(folder)
    for name in FATES:
        quick.mlflow.stage(name, 1, "Production")
    for name in FATES:
        quick.wait_serving(name, 1, seconds=240)
        quick.mlflow.stage(name, 2, "Production")
    return quick


@pytest.mark.parametrize(("name", "reason", "words"), [(n, r, w) for n, (r, w) in FATES.items()])
def test_a_version_that_fails_says_why_and_the_old_one_answers(fated, name, reason, words):
    quick, mlflow = fated, fated.mlflow
    seen = quick.wait(name, lambda d: d["state"] == "Degraded", seconds=120)
    assert seen["reason"] == reason, seen
    assert words in seen["message"], seen["message"]
    assert "version 1 keeps serving" in seen["message"]
    assert seen["next_step"]
    tried_again = name in ("dies-at-load", "eats-memory")
    assert ("tried again by itself" in seen["next_step"]) == tried_again
    assert "hunter2" not in quick.logs(400)
    response = quick.predict(seen["url"])
    assert (response.status_code, response.json()["predictions"]) == (200, [1])
    quick.wait(name, lambda _: reason in mlflow.tags(name, 2).get("schnitzel.prod.status", ""))
    quick.wait(name, lambda d: [p["version"] for p in d["predictors"]] == ["1"])
    said = quick.cli("deploy", "status", name, "-e", "prod")
    assert reason in said
    assert "next step" in said


def test_everything_restarted_with_broken_versions_promoted_serves_the_last_good_ones(fated):
    quick = fated
    for name in FATES:
        quick.wait(name, lambda d: d["state"] == "Degraded", seconds=120)
    quick.cli("down")
    quick.up("mlflow", "gateway", "deployer")
    for name in FATES:
        seen = quick.wait(
            name,
            lambda d: d["predictors"] and d["serving"] == {"version": "1"}
            and {p["version"]: p["weight"] for p in d["predictors"]}.get("1") == 100
            and any(p["phase"] == "ready" for p in d["predictors"]),
            seconds=240,
        )  # fmt: skip
        response = quick.predict(seen["url"])
        assert response.status_code == 200, response.text
        assert response.json()["predictions"] == [1]
