"""A rollout judged by a team's own metric, asked of a real Prometheus beside real model servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.load import Load
from support.models import log_models
from support.platform.home import PlatformHome
from support.systems.prometheus import Prometheus, running_prometheus

pytestmark = pytest.mark.timeout(1800)

ALL = 'sum(increase(schnitzel_requests_total{predictor="{predictor}"}[{window}]))'
LOST = 'sum(increase(schnitzel_requests_total{predictor="{predictor}", code="500"}[{window}]))'
ASKED: dict[str, Any] = {
    "rollout": {"steps": [{"weight": 30, "require": "no_harm"}, 100]},
    "analysis": {
        "warmup": 0,
        "min_requests": 50,
        "metrics": {
            **dict.fromkeys(("errors", "rejected", "latency")),
            "lost": {
                "query": f"({LOST} or vector(0)) / {ALL}",
                "count": ALL,
                "every": "10s",
                "worse_by": "10pp",
            },
        },
    },
}
SEVEN = b'{"dataframe_split": {"columns": ["x"], "data": [[7.0]]}}'
MODELS: list[dict[str, Any]] = [
    {"name": "basket", "kind": "constant", "say": 1},
    {"name": "basket", "kind": "raises-at-seven", "say": 2, "serving": ASKED},
    {"name": "basket", "kind": "constant", "say": 3, "serving": ASKED},
    {"name": "basket", "kind": "constant", "say": 4, "serving": ASKED},
]


@pytest.fixture(scope="module")
def shop(make_platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    platform: PlatformHome = make_platform("shop")
    platform.up("mlflow", "gateway")
    port = yaml.safe_load((platform.home / "platform.yaml").read_text())["deployer"]["port"]
    listed = f"http://127.0.0.1:{port}/metrics/servers"
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as running:
        prometheus = running.enter_context(running_prometheus(folder, listed=listed))
        platform.env["SCHNITZEL_PROMETHEUS__URL"] = prometheus.url
        platform.up("deployer")
        log_models(platform.url("mlflow"), MODELS)
        platform.mlflow.stage("basket", 1, "Production")
        platform.wait_serving("basket", 1)
        yield platform, prometheus, running


def told(seen: dict[str, Any]) -> str:
    """What the rollout is said to wait for or to have ended with."""
    return str(seen["message"])


def test_a_team_s_own_metric_ends_a_rollout_lets_one_pass_and_holds_one_without_an_answer(
    shop: tuple[PlatformHome, Prometheus, ExitStack],
) -> None:
    platform, _, running = shop
    with Load(platform.deployment("basket")["url"], rate=100, body=SEVEN) as load:
        platform.mlflow.stage("basket", 2, "Production", archive=True)
        seen = platform.wait("basket", lambda d: d["reason"] == "RolledBack")
        assert "lost " in told(seen)
        assert "% of " in told(seen)
        assert "version 1 keeps serving" in told(seen)
        platform.mlflow.stage("basket", 3, "Production", archive=True)
        platform.wait_serving("basket", 3)
        assert "lost" in platform.cli("deploy", "evidence", "basket@prod")

        running.close()  # Prometheus is gone
        platform.mlflow.stage("basket", 4, "Production", archive=True)
        seen = platform.wait("basket", lambda d: "Prometheus does not answer" in told(d))
        assert seen["rollout"]["step"] == 0
        assert "lost: Prometheus does not answer" in platform.cli(
            "deploy", "rollout", "basket@prod"
        )
        platform.cli("deploy", "promote-now", "basket@prod", "--reason", "Prometheus is down")
        platform.wait_serving("basket", 4)
    assert {answer.version for answer in load.failed} == {"2"}
