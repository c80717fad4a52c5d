"""The demo's path on everything that is real: Airflow trains, MLflow registers, it is served."""

from __future__ import annotations

import json

import pytest
from support.golden import from_training_to_a_served_prediction
from support.load import Load
from support.models import log_models
from support.systems.browser import registry_pages

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def demo(make_platform):
    platform = make_platform("demo", whole=True)
    platform.up()
    return platform


@pytest.fixture(scope="module")
def clicked(quick):
    """The quick platform with two versions of a model for each way to promote with the mouse."""
    names = ("clicked-stage", "clicked-alias")
    models = [{"name": name, "kind": "constant", "say": say} for name in names for say in (1, 2)]
    log_models(quick.url("mlflow"), models)
    return quick


def test_from_training_to_a_served_prediction(demo):
    from_training_to_a_served_prediction(demo, "angler")


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


def test_a_version_moved_to_production_with_the_mouse_is_served(clicked, tmp_path):
    quick = clicked
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


def test_a_version_given_the_alias_with_the_mouse_is_served(clicked, tmp_path):
    quick = clicked
    quick.mlflow.alias("clicked-alias", "champion", 1)
    url = quick.wait_serving("clicked-alias", 1, seconds=240)["url"]
    with registry_pages(quick.url("mlflow"), tmp_path) as pages, Load(url) as load:
        pages.open("clicked-alias", 2)
        pages.add_alias("champion")
        seen = quick.wait_serving("clicked-alias", 2)
    assert seen["wanted"]["via"] == "alias champion"
    assert not load.failed
    assert load.versions() == {"1", "2"}
