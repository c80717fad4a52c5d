"""Promotions that only a webhook can tell of: the registry is polled once an hour here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from support.models import log_models
from support.run.wait import wait_for

pytestmark = pytest.mark.timeout(1800)

MODELS = ("called", "planned", "signed", "unsigned")


@pytest.fixture(scope="module")
def hooked(make_platform):
    platform = make_platform("hooked", registry={"poll": "1h", "listing": "1h"})
    platform.up("mlflow", "gateway", "deployer")
    log_models(
        platform.url("mlflow"),
        [{"name": name, "kind": "constant", "say": say} for name in MODELS for say in (1, 2)],
    )
    for name in MODELS:
        platform.mlflow.alias(name, "champion", 1)
    for name in MODELS:
        platform.wait_serving(name, 1, seconds=240)
    return platform


def delivery(body: bytes, secret: str, at: float) -> dict[str, str]:
    """The headers of a delivery, signed as MLflow does."""
    stamp = str(int(at))
    digest = hmac.new(secret.encode(), f"one.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "X-MLflow-Delivery-Id": "one",
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
    }


def post(platform, body: bytes, headers: dict[str, str]) -> int:
    url = f"{platform.url('deployer')}/webhooks/mlflow"
    return platform.client.post(url, content=body, headers=headers).status_code


def test_a_forged_delivery_does_nothing_and_a_real_one_does(hooked):
    mlflow = hooked.mlflow
    secret = (hooked.home / "secrets" / "webhook-secret").read_text().strip()
    body = json.dumps({"entity": "model_version_alias", "data": {"name": "called"}}).encode()
    mlflow.stage("called", 2, "Production")  # which fires no webhook

    forged = [
        delivery(body, "a guess", time.time()),
        delivery(body, secret, time.time() - 3600),
        delivery(b"another body", secret, time.time()),
        {},
    ]
    assert [post(hooked, body, headers) for headers in forged] == [401] * len(forged)
    seen = hooked.deployment("called")
    [state] = (hooked.home / "serving" / "predictors").glob("called-prod-v*/state.json")
    for _ in range(2):  # passes go on, over what was known before
        before = seen["observed_at"]
        state.touch()
        seen = hooked.wait("called", lambda d, before=before: d["observed_at"] > before)
        assert seen["wanted"]["version"] == "1"

    mlflow.alias("called", "of-no-environment", 1)
    hooked.wait_serving("called", 2)
    assert hooked.api("registry")["webhooks"] is True


def test_a_delivery_of_ours_is_taken_once_it_is_signed_right(hooked):
    """So that the refusals above are for the signature and nothing else."""
    secret = (hooked.home / "secrets" / "webhook-secret").read_text().strip()
    body = json.dumps({"entity": "model_version_alias", "data": {"name": "called"}}).encode()
    assert post(hooked, body, delivery(body, secret, time.time())) == 200


def test_a_plan_shows_a_promotion_that_no_pass_has_seen(hooked):
    assert json.loads(hooked.cli("deploy", "plan", "planned@prod", "-o", "json"))["plans"] == [
        hooked.api("deployments/planned-prod/plan")
    ]
    assert hooked.api("deployments/planned-prod/plan")["changes"] == []
    hooked.mlflow.stage("planned", 2, "Production")
    plan = hooked.api("deployments/planned-prod/plan")
    told = [(change["action"], change["version"]) for change in plan["changes"]]
    assert told == [("start", "2"), ("ask", "2"), ("route", "2"), ("retire", "1")]
    hooked.wait_serving("planned", 2)  # and asking made it look
    assert wait_for(
        lambda: not hooked.api("deployments/planned-prod/plan")["pending"], "nothing left to do"
    )


def who_rolled_out(platform, model: str) -> dict[str, str]:
    events = platform.api(f"deployments/{model}-prod/history")["events"]
    return {e["to"]: e["who"] for e in events if (e["kind"], e["action"]) == ("intent", "rollout")}


def test_history_names_who_promoted_with_the_cli_and_nobody_else(hooked):
    mlflow = hooked.mlflow

    def promote(model, version, by=None):
        if by:
            tag = {"key": "schnitzel.prod.promoted_by", "value": by}
            mlflow.post("model-versions/set-tag", name=model, version=str(version), **tag)
        mlflow.alias(model, "champion", version)
        hooked.wait_serving(model, version)

    promote("signed", 2, "alice")
    assert who_rolled_out(hooked, "signed") == {"1": "unknown (MLflow)", "2": "alice (by the CLI)"}
    assert "schnitzel.prod.promoted_by" not in mlflow.tags("signed", 2), "one tag, one promotion"
    promote("signed", 1)
    promote("signed", 2)
    assert who_rolled_out(hooked, "signed")["2"] == "unknown (MLflow)"
    promote("signed", 1, "bob\n" + "x" * 500)
    said = who_rolled_out(hooked, "signed")["1"]
    assert said == "bob" + "x" * 61 + " (by the CLI)"
