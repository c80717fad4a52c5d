"""A team's own MLflow, attached, in all its moods: nothing is retired, and status says why."""

from __future__ import annotations

import pytest
from support.faults.proxy import FaultyProxy
from support.models import log_models
from support.platform.home import QUICK
from support.platform.listings import listed
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer

MODELS = ("sturdy", "hardy")
LISTINGS = 3
OFTEN = {"registry": {"poll": "500ms", "listing": "1s"}}
POLICY = {"retire_after": "1s", "retire_listings": LISTINGS}
"""What is denied for so many listings goes: counted, since any time passes on a busy machine."""


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("team") / "mlflow").start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def proxy(mlflow):
    made = FaultyProxy(mlflow.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def attached(make_platform, mlflow, proxy):
    environments = {**QUICK["environments"]}
    environments["prod"] = environments["prod"] | {"policy": POLICY}
    platform = make_platform(
        "attached", mlflow={"url": proxy.url}, gateway={}, environments=environments, **OFTEN
    )
    log_models(mlflow.url, [{"name": n, "kind": "constant", "say": 1} for n in MODELS])
    platform.up("gateway", "deployer")
    for name in MODELS:
        mlflow.stage(name, 1, "Production")
    for name in MODELS:
        platform.wait_serving(name, 1, seconds=240)
    return platform


def registry_is(platform, state, seconds=60):
    return wait_for(
        lambda: (seen := platform.api("registry"))["state"] == state and seen,
        f"the registry to be {state}",
        seconds,
    )


def all_answer(platform):
    for name in MODELS:
        response = platform.predict(platform.deployment(name)["url"])
        assert (response.status_code, response.json()) == (200, {"predictions": [1]})


@pytest.mark.parametrize("mode", ["refuse", "error", "nonsense"])
def test_an_mlflow_that_does_not_answer_well_changes_nothing(attached, proxy, mode):
    proxy.mode, proxy.spoiled = mode, 0
    try:
        seen = registry_is(attached, "Stale")
        assert seen["reason"] in ("RegistryUnreachable", "RegistryMalformed")
        assert "MLflow" in seen["message"]
        wait_for(lambda: proxy.spoiled >= 6, "several bad answers")
        all_answer(attached)
        assert all(attached.deployment(n)["state"] == "Serving" for n in MODELS)
    finally:
        proxy.mode = "ok"
    registry_is(attached, "Fresh")


def test_a_second_platform_may_not_claim_the_same_environments(attached, make_platform, mlflow):
    other = make_platform("rival", mlflow={"url": mlflow.url}, gateway={}, deployer={})
    with pytest.raises(AssertionError, match=r"deployer cannot begin: .*held by the platform"):
        other.up("gateway", "deployer")
    assert (attached.home / "platform-id").read_text() != (other.home / "platform-id").read_text()
    all_answer(attached)


@pytest.mark.parametrize("mode", ["empty", "half"])
def test_what_listings_lack_for_ever_stays_and_what_is_archived_meanwhile_goes(
    attached, mlflow, proxy, mode
):
    proxy.mode = mode
    try:
        listed(attached, LISTINGS + 3)  # the first two may only show it missing
        assert [attached.deployment(name)["state"] for name in MODELS] == ["Serving"] * 2
        all_answer(attached)
        mlflow.stage(MODELS[0], 1, "Archived")
        listed(attached, LISTINGS)
        attached.wait(MODELS[0], lambda d: d["state"] == "Retired")
        assert attached.deployment(MODELS[1])["state"] == "Serving"
    finally:
        proxy.mode = "ok"
        mlflow.stage(MODELS[0], 1, "Production")
    for name in MODELS:
        attached.wait_serving(name, 1)
    all_answer(attached)
