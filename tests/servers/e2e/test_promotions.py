"""Promotions that change while they are acted on; what is true of every target: tests/contract."""

from __future__ import annotations

from support.load import Load
from support.platform.home import PlatformHome
from support.systems.browser import registry_pages


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


def test_a_version_moved_to_production_with_the_mouse_is_served(quick, tmp_path):
    quick.mlflow.stage("clicked-stage", 1, "Production")
    url = quick.wait_serving("clicked-stage", 1, seconds=240)["url"]
    with registry_pages(quick.url("mlflow"), tmp_path) as pages, Load(url) as load:
        pages.open("clicked-stage", 2)
        pages.leave_new_registry_view()
        pages.transition("Production")
        seen = quick.wait_serving("clicked-stage", 2)
    assert seen["wanted"]["via"] == "stage Production"
    assert not load.failed
    assert load.versions() == {"1", "2"}


def test_a_version_given_the_alias_with_the_mouse_is_served(quick, tmp_path):
    quick.mlflow.alias("clicked-alias", "champion", 1)
    url = quick.wait_serving("clicked-alias", 1, seconds=240)["url"]
    with registry_pages(quick.url("mlflow"), tmp_path) as pages, Load(url) as load:
        pages.open("clicked-alias", 2)
        pages.add_alias("champion")
        seen = quick.wait_serving("clicked-alias", 2)
    assert seen["wanted"]["via"] == "alias champion"
    assert not load.failed
    assert load.versions() == {"1", "2"}
