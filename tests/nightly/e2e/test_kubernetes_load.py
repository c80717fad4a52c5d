"""Under load on a cluster: promotions, evictions, a rolling restart, and no request is lost.

Nightly, since the stories of the contract promote under load, too, and this takes minutes.
"""

from __future__ import annotations

import json

import pytest
from support.load import Load
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)

RATE = 200
"""Requests a second are tried for; how many a busy machine reaches does not matter here."""
EACH = 400
"""Answers while a promotion and an eviction are under way, at least."""
PROMOTIONS = (("stage", 2), ("alias", 1))
SERVING = {"replicas": 2, "kubernetes": {"disruption_budget": {"max_unavailable": 1}}}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    # Drained as by default, and not as quickly as other tests have it.
    made = ClusterPlatform(
        cluster(),
        tmp_path_factory.mktemp("load") / "home",
        settings={"each": {"prod": {"overlay": {}}}},
        builds=False,
    )
    busy = {"name": made.model("busy"), "kind": "constant", "serving": SERVING}
    try:
        log_models(made.mlflow.url, [busy | {"say": say} for say in (1, 2)])
        made.up()
        yield made
    finally:
        made.down()


def serving_label(platform) -> str:
    """What selects the objects of the version that serves."""
    [name] = [p["name"] for p in platform.seen("busy")["predictors"] if p["weight"] == 100]
    return f"schnitzel.dev/predictor={name}"


def serving_pods(platform) -> list[str]:
    """The ready pods of the version that serves, by name."""
    where = platform.environment("prod")
    pods = platform.cluster.ready_pods(where, "-l", serving_label(platform))
    return [pod["metadata"]["name"] for pod in pods]


def restart(platform) -> None:
    """Have each pod of the version that serves replaced, one after the other."""
    before = set(wait_for(lambda: len(found := serving_pods(platform)) == 2 and found, "two", 240))
    where = "-n", platform.environment("prod")
    words = "rollout", "restart", "deployment", "-l", serving_label(platform)
    platform.cluster.kubectl(*words, *where)
    wait_for(lambda: len(now := set(serving_pods(platform))) == 2 and not now & before, "new", 300)


def evict(platform, pod: str) -> str:
    """Ask for a pod's eviction, as `kubectl drain` does; why it is refused, or ""."""
    where = platform.environment("prod")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": where},
    }
    path = f"/api/v1/namespaces/{where}/pods/{pod}/eviction"
    done = platform.cluster.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    return done.stderr if done.returncode else ""


def evict_one(platform) -> str:
    """Have one of two serving pods evicted; its name."""
    pods = wait_for(lambda: len(found := serving_pods(platform)) == 2 and found, "two pods", 240)
    wait_for(lambda: not evict(platform, pods[0]), "an eviction to be granted", 30)
    # The budget lets nobody have the other one.
    assert "disruption budget" in evict(platform, pods[1])
    return pods[0]


def test_promotions_evictions_and_a_restart_lose_none_of_many_requests(platform):
    name, where = platform.model("busy"), platform.environment("prod")
    platform.mlflow.stage(name, 1, "Production")
    url = platform.serving("busy", 1, seconds=600)["url"]
    evicted = []
    with Load(url, rate=RATE, connections=8) as load:
        for how, version in PROMOTIONS:
            before = len(load.answers)
            evicted.append(evict_one(platform))
            if how == "stage":
                platform.mlflow.stage(name, version, "Production")
            else:
                platform.mlflow.alias(name, where, version)
            platform.serving("busy", version, seconds=300)
            wait_for(lambda b=before: len(load.answers) >= b + EACH, "enough answers", 120)
        evicted.append(evict_one(platform))
        wait_for(lambda: len(serving_pods(platform)) == 2, "both pods", 240)
        before = len(load.answers)
        restart(platform)
        wait_for(lambda: len(load.answers) >= before + EACH, "enough answers", 120)
    assert len(load.answers) >= EACH * len(PROMOTIONS)
    assert not load.failed, load.failed[:5]
    assert load.versions() == {"1", "2"}
    assert len(set(evicted)) == len(PROMOTIONS) + 1

    def gone() -> bool:  # an evicted pod drains before it ends
        return not set(evicted) & {o["metadata"]["name"] for o in platform.objects("pods")}

    wait_for(gone, "the evicted pods to be gone", 120)
