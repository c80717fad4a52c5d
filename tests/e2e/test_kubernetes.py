"""The same promotion, on a real Kubernetes: promoted in MLflow, applied, routed, served, retired."""

from __future__ import annotations

import pytest
from cluster import cluster
from cluster_platform import ClusterPlatform
from models import log_models
from platform_home import Load

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = ClusterPlatform(cluster(), tmp_path_factory.mktemp("cluster") / "home")
    try:
        log_models(
            made.mlflow.url,
            [{"name": made.model("calm"), "kind": "constant", "say": say} for say in (1, 2, 3)],
        )
        made.up()
        yield made
    finally:
        made.down()


def test_a_promotion_is_served_through_the_gateway(platform):
    name = platform.model("calm")
    platform.mlflow.alias(name, platform.environment("prod"), 1)
    seen = platform.serving("calm", 1, seconds=600)
    answer = platform.predict(seen["url"], rows=2)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [1, 1]}
    assert answer.headers["x-schnitzel-model-version"] == "1"


def test_another_version_takes_over_without_a_lost_request(platform):
    name = platform.model("calm")
    url = platform.seen("calm")["url"]
    with Load(url) as load:
        platform.mlflow.stage(name, 2, "Production")
        platform.serving("calm", 2)
    assert not load.failed
    assert load.versions() == {"1", "2"}
