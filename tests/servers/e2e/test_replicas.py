"""A predictor of several replicas on one machine: each a server of its own behind the gateway."""

from __future__ import annotations

import json
import os
import signal

import pytest
from support.load import Load
from support.models import log_models
from support.platform.home import PlatformHome
from support.run.wait import wait_for

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def quick(quick: PlatformHome) -> PlatformHome:
    """The quick platform with a model of two replicas."""
    twins = {"name": "twins", "kind": "constant", "serving": {"replicas": 2}}
    log_models(quick.url("mlflow"), [twins | {"say": say} for say in (1, 2)])
    return quick


def replicas(platform: PlatformHome) -> dict[str, dict]:
    """What the replicas of the predictor that serves were started with, and their state."""
    [one] = platform.deployment("twins")["predictors"]
    folder = platform.home / "serving" / "predictors" / one["name"]
    return {
        kind: {path.name: json.loads(path.read_text()) for path in folder.glob(f"{kind}*.json")}
        for kind in ("predictor", "state")
    }


def answered(platform: PlatformHome, port: int) -> float:
    """How many predictions a replica has given."""
    text = platform.client.get(f"http://127.0.0.1:{port}/metrics").text
    start = 'schnitzel_requests_total{route="invocations",code="200"'
    lines = [line for line in text.splitlines() if line.startswith(start)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def window(platform: PlatformHome, server: dict) -> dict:
    """What a replica tells on the listener that no gateway routes to."""
    return platform.client.get(f"http://127.0.0.1:{server['admin_port']}/schnitzel/window").json()


def test_replicas_share_the_requests_and_are_rolled_out_together(quick):
    quick.mlflow.stage("twins", 1, "Production", archive=True)
    seen = quick.wait_serving("twins", 1, seconds=240)
    with Load(seen["url"], rate=20) as load:
        wait_for(lambda: len(load.answers) > 40, "some answers")
        ports = [one["port"] for one in replicas(quick)["predictor"].values()]
        assert len(set(ports)) == 2
        shares = [answered(quick, port) for port in ports]
        assert min(shares) >= 10, shares
        windows = [window(quick, one) for one in replicas(quick)["predictor"].values()]
        assert min(each["total"]["counts"]["ok"] for each in windows) >= 10
        assert len({each["process"]["id"] for each in windows}) == 2
        assert quick.client.get(f"{seen['url']}schnitzel/window").status_code == 404
        quick.mlflow.stage("twins", 2, "Production", archive=True)
        quick.wait_serving("twins", 2)
        quick.wait("twins", lambda d: len(d["predictors"]) == 1)
    assert not load.failed
    assert load.versions() == {"1", "2"}
    logs = quick.cli("deploy", "logs", "twins@prod")
    assert logs.count("model loaded") == 2


def test_a_killed_replica_comes_back_while_the_other_answers(quick):
    quick.mlflow.stage("twins", 2, "Production", archive=True)
    seen = quick.wait_serving("twins", 2, seconds=240)
    before = replicas(quick)["state"]["state.2.json"]["pid"]
    stays = replicas(quick)["state"]["state.json"]["pid"]
    port = replicas(quick)["predictor"]["predictor.2.json"]["port"]

    def is_back() -> bool:
        state = replicas(quick)["state"].get("state.2.json", {})
        return state.get("pid") not in (None, before) and state["phase"] == "ready"

    with Load(seen["url"], rate=50) as load:
        wait_for(lambda: len(load.answers) > 20, "some answers")
        killed = len(load.answers)
        os.kill(before, signal.SIGKILL)
        wait_for(is_back, "another process")
        back = len(load.answers)
        wait_for(lambda: answered(quick, port) > 10, "its share of the requests")
    away, after = load.answers[killed:back], load.answers[back:]
    # Until the gateway leaves it out: no server there, then one that loads its model.
    assert {answer.status for answer in away} <= {200, 502, 503}
    assert [answer.status for answer in away[-10:]] == [200] * 10, "the other does not answer all"
    assert {answer.status for answer in after} == {200}
    quick.wait_serving("twins", 2)
    assert replicas(quick)["state"]["state.json"]["pid"] == stays


def test_a_reviewed_plan_shows_its_files_and_holds_while_it_is_rolled_out(quick):
    quick.mlflow.stage("twins", 1, "Production", archive=True)
    quick.wait_serving("twins", 1, seconds=240)
    plan = "deployments/twins-prod/plan"
    wait_for(lambda: not quick.api(plan)["pending"], "nothing to be left to do")
    quick.cli("deploy", "diff", "twins@prod", "--exit-code")
    tree = json.loads(quick.cli("deploy", "tree", "twins@prod", "-o", "json"))["root"]
    predictor, route = tree["children"]
    assert [(one["kind"], one["status"]) for one in predictor["children"]] == [
        ("Process", "ready"), ("Process", "ready"),
    ]  # fmt: skip
    assert route["detail"] == f"{predictor['name']} 100 %"
    steady = quick.api(plan)["digest"]

    quick.cli("deploy", "pause", "twins@prod")
    quick.mlflow.stage("twins", 2, "Production", archive=True)
    quick.wait("twins", lambda d: d["wanted"]["version"] == "2")
    for command in ("plan", "diff"):
        quick.cli("deploy", command, "twins@prod", "--exit-code", code=3)
    told = json.loads(quick.cli("deploy", "diff", "twins@prod", "-o", "json"))["diffs"][0]
    shown = sorted((one["action"], one["kind"]) for one in told["objects"])
    twice = [("create", "Program"), ("create", "Server"), ("delete", "Program"),
             ("delete", "Server")]  # fmt: skip
    assert shown == sorted([*twice, *twice, ("update", "Route")])
    quick.cli("deploy", "resume", "twins@prod")
    quick.cli("deploy", "apply", "twins@prod", "--plan", steady, code=1)
    quick.cli("deploy", "apply", "twins@prod", "--plan", told["digest"])
    quick.wait_serving("twins", 2)
    assert quick.api(plan)["digest"] == told["digest"]
