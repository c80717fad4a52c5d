"""Promotions that change while they are acted on; what is true of every target: tests/contract."""

from __future__ import annotations

import shlex

import pytest
from support.load import Load
from support.platform.home import PlatformHome
from support.platform.listings import listed


def answers(platform: PlatformHome, url: str) -> tuple[int, str]:
    response = platform.predict(url)
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0], response.headers["x-schnitzel-model-version"]


def test_an_alias_deleted_and_set_again_loses_no_request(quick):
    mlflow = quick.mlflow
    mlflow.alias("aliased", "champion", 1)
    url = quick.wait_serving("aliased", 1, seconds=240)["url"]
    assert url == f"{quick.url('gateway')}/prod/aliased/"
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


@pytest.fixture
def touchable(quick):
    """A model whose versions 1 and 2 are both in Production; 2 serves."""
    mlflow, name = quick.mlflow, "touched in place"
    mlflow.model(name)
    for number in (1, 2):
        like = mlflow.get("model-versions/get", name="archived", version=str(number))
        assert mlflow.version(name, like["model_version"]["source"]) == number
    for number in (1, 2):
        mlflow.stage(name, number, "Production")
        quick.wait_serving(name, number, seconds=240)
    return name


def test_a_version_that_is_touched_is_not_served_and_says_what_serves_it(quick, touchable):
    def save_description() -> None:
        body = {"name": touchable, "version": "1", "description": "as it was"}
        path = "/api/2.0/mlflow/model-versions/update"
        assert quick.mlflow.client.patch(path, json=body).status_code == 200

    def touched_after(before: str | None) -> dict[str, str]:
        """What is told of version 1, in the status and in its tag."""
        seen = quick.wait(touchable, lambda d: d["losing"][0]["touched_at"] != before)
        [told] = seen["losing"]
        tag = f"NotServed: {told['message']}"
        quick.wait(
            touchable, lambda _: quick.mlflow.tags(touchable, 1)["schnitzel.prod.status"] == tag
        )
        return told

    told = quick.deployment(touchable)["losing"][0]
    assert told["touched_at"] is None
    touches = [lambda: quick.mlflow.stage(touchable, 1, "Production"), save_description]
    for touch in touches:
        touch()
        told = touched_after(told["touched_at"])
        listed(quick, 2)  # the tag that was written is no touch
        seen = quick.deployment(touchable)
        assert seen["losing"] == [told]
        assert answers(quick, seen["url"]) == (2, "2")
    assert told["message"] in " ".join(quick.cli("deploy", "status", f"{touchable}@prod").split())
    command = shlex.split(told["message"][told["message"].index("schnitzel ") :])
    quick.cli(*command[1:], "--yes")
    assert quick.wait_serving(touchable, 1)["losing"] == []


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
