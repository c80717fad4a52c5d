"""What a promotion means, on the real MLflow, Traefik, supervisord and Deployer, under load."""

from __future__ import annotations

import time

import pytest
from load import Load
from platform_home import PlatformHome

pytestmark = pytest.mark.e2e


def answers(platform: PlatformHome, url: str) -> tuple[int, str]:
    response = platform.predict(url)
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0], response.headers["x-schnitzel-model-version"]


def test_promotions_back_and_forth_under_load_lose_no_request(quick):
    mlflow = quick.mlflow
    mlflow.stage("calm", 1, "Production")
    url = quick.wait_serving("calm", 1, seconds=240)["url"]
    assert url == f"{quick.url('gateway')}/prod/calm/"
    assert answers(quick, url) == (1, "1")
    promoted = {"1"}
    with Load(url, rate=50) as load:
        for version, archive in [(2, False), (1, False), (3, True)]:
            promoted.add(str(version))
            # What is in Production already leaves it first, else nothing begins.
            mlflow.stage("calm", version, "None")
            left = str(version)
            quick.wait("calm", lambda d, left=left: left not in {o["version"] for o in d["losing"]})
            mlflow.stage("calm", version, "Production", archive=archive)
            quick.wait_serving("calm", version)
            assert answers(quick, url) == (version, str(version))
    assert not load.failed
    assert len(load.answers) > 100
    assert load.versions() <= promoted
    assert all(answer.body == f'{{"predictions": [{answer.version}]}}' for answer in load.answers)


def test_moving_an_older_version_to_production_without_archiving_is_a_rollback(quick):
    mlflow = quick.mlflow
    mlflow.stage("steady", 2, "Production")
    quick.wait_serving("steady", 2, seconds=240)
    mlflow.stage("steady", 1, "Production")
    seen = quick.wait_serving("steady", 1)
    [losing] = seen["losing"]
    assert losing["version"] == "2"
    assert "promoted later" in losing["message"]
    shown = {"schnitzel.prod.status": "Serving", "schnitzel.prod.url": seen["url"]}
    quick.wait("steady", lambda _: mlflow.tags("steady", 1) == shown)
    quick.wait("steady", lambda _: "NotServed" in mlflow.tags("steady", 2)["schnitzel.prod.status"])
    assert "schnitzel.prod.url" not in mlflow.tags("steady", 2)


def test_an_alias_deleted_and_set_again_loses_no_request(quick):
    mlflow = quick.mlflow
    mlflow.alias("aliased", "champion", 1)
    url = quick.wait_serving("aliased", 1, seconds=240)["url"]
    with Load(url) as load:
        mlflow.drop_alias("aliased", "champion")
        seen = quick.wait("aliased", lambda d: d["state"] == "NothingPromoted")
        assert "keeps serving" in seen["message"]
        mlflow.alias("aliased", "champion", 1)
        quick.wait_serving("aliased", 1)
        mlflow.alias("aliased", "champion", 2)
        quick.wait_serving("aliased", 2)
    assert not load.failed


def test_archiving_the_old_version_while_the_new_one_rolls_out_loses_no_request(quick):
    mlflow = quick.mlflow
    mlflow.stage("archived", 1, "Production")
    url = quick.wait_serving("archived", 1, seconds=240)["url"]
    with Load(url) as load:
        mlflow.stage("archived", 2, "Production")
        quick.wait("archived", lambda d: d["state"] == "Progressing")
        mlflow.stage("archived", 1, "Archived")
        quick.wait_serving("archived", 2)
    assert not load.failed


def test_nothing_promoted_retires_the_champion_only_after_the_grace_time(quick):
    mlflow = quick.mlflow
    mlflow.stage("lonely", 1, "Production")
    url = quick.wait_serving("lonely", 1, seconds=240)["url"]
    began = time.monotonic()
    mlflow.stage("lonely", 1, "Archived")
    quick.wait("lonely", lambda d: d["state"] == "NothingPromoted")
    quick.wait("lonely", lambda d: d["state"] == "Retired" and not d["predictors"])
    assert time.monotonic() - began >= 8
    assert quick.client.get(f"{url}ping").status_code == 404
    events = quick.api("deployments/lonely-prod/history")["events"]
    assert [event["action"] for event in events if event["kind"] == "intent"][-1] == "retire"


def test_many_retirements_at_once_wait_for_a_persons_word(quick):
    mlflow = quick.mlflow
    names = ["gone-a", "gone-b"]
    for name in names:
        mlflow.stage(name, 1, "Production")
    for name in names:
        quick.wait_serving(name, 1, seconds=240)
    for name in names:
        mlflow.stage(name, 1, "Archived")
    for name in names:
        seen = quick.wait(name, lambda d: d["reason"] == "TooManyRetirements")
        assert "--allow-retire" in seen["next_step"]
        assert answers(quick, seen["url"]) == (1, "1")
    quick.cli("deploy", "apply", "gone-a", "-e", "prod", "--allow-retire", "--yes")
    quick.wait("gone-a", lambda d: d["state"] == "Retired")
    assert quick.deployment("gone-b")["state"] == "NothingPromoted"
    who = [e["who"] for e in quick.api("deployments/gone-a-prod/history")["events"]]
    assert (quick.home / "token").read_text().split(":")[0] in who
    mlflow.stage("gone-b", 1, "Production")
    quick.wait_serving("gone-b", 1)


def test_paused_stays_as_it_is_until_resumed(quick):
    mlflow = quick.mlflow
    mlflow.stage("restless", 1, "Production")
    quick.wait_serving("restless", 1, seconds=240)
    quick.cli("deploy", "pause", "restless", "-e", "prod", "--reason", "the launch")
    mlflow.stage("restless", 2, "Production")
    seen = quick.wait("restless", lambda d: d["wanted"]["version"] == "2")
    assert seen["sync"] == "Paused"
    quick.cli("deploy", "plan", "restless", "-e", "prod", "--exit-code", code=3)
    assert answers(quick, seen["url"]) == (1, "1")
    quick.cli("deploy", "resume", "restless", "-e", "prod")
    quick.wait_serving("restless", 2)
