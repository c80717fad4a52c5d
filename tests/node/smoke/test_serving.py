"""A promotion on a cluster, an update under load, a rollback, a broken version; and what is left.

The first stories of the contract; the others: tests/node/contract/test_kubernetes.py.
"""

from __future__ import annotations

import copy

import pytest
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import (  # noqa: F401
    test_a_promotion_by_alias_is_served,
    test_a_version_that_cannot_load_leaves_the_old_one_serving,
    test_an_older_version_promoted_later_is_a_rollback,
    test_an_update_takes_over_without_a_lost_request,
)
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)
place = place_at(lambda home: ClusterPlace(cluster(), home))

KINDS = (
    "modeldeployments", "httproutes", "deployments", "services", "configmaps",
    "poddisruptionbudgets", "horizontalpodautoscalers",
)  # fmt: skip
BUDGET = {"kubernetes": {"disruption_budget": {"max_unavailable": 1}}}


def everything(place) -> dict[tuple[str, str], dict]:
    """Every object of this model's, or with a name like theirs, by kind and name."""
    found = place.platform.objects(",".join(KINDS))
    named = {(o["kind"], o["metadata"]["name"]): o for o in found}
    return {key: obj for key, obj in named.items() if key[1].startswith(place.model("tidy"))}


def serving_one(seen: dict) -> str:
    """The predictor that takes all requests, by name."""
    [name] = [p["name"] for p in seen["predictors"] if p["weight"] == 100]
    return name


def set_by_somebody(obj: dict) -> dict:
    """An object without what controllers and the API server write into it."""
    meta = obj["metadata"]
    kept = {k: meta.get(k) for k in ("name", "uid", "generation", "labels", "annotations")}
    kept["annotations"] = {
        k: v for k, v in (kept["annotations"] or {}).items() if "deployment.kubernetes.io" not in k
    }
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")} | {"metadata": kept}


def strangers(ours: list[dict]) -> list[dict]:
    """The same objects again as another platform's, as nobody's, and with only some of our labels.

    Each has a name that begins like ours, but no owner.
    """
    made = []
    for obj in ours:
        for suffix, change in (
            ("-others", {"schnitzel.dev/platform": "another"}),
            ("-nobodys", {"schnitzel.dev/platform": None}),
            ("-bare", dict.fromkeys(obj["metadata"]["labels"], None)),
        ):
            labels = {
                k: v for k, v in {**obj["metadata"]["labels"], **change}.items() if v is not None
            }
            twin = {k: copy.deepcopy(obj[k]) for k in ("apiVersion", "kind")}
            twin["metadata"] = {"name": obj["metadata"]["name"] + suffix, "labels": labels}
            twin |= {k: copy.deepcopy(obj[k]) for k in ("spec", "data") if k in obj}
            if obj["kind"] == "Service":
                twin["spec"] = {"ports": [{"port": 8080}], "selector": {"app": "none"}}
            if obj["kind"] == "Deployment":
                twin["spec"]["replicas"] = 0
            made.append(twin)
    return made


def exactly(place, wanted: set[tuple[str, str]]) -> None:
    """Wait until what is there is this and nothing else."""
    seen: set[tuple[str, str]] = set()

    def same() -> bool:
        nonlocal seen
        seen = set(everything(place))
        return seen == wanted

    try:
        wait_for(same, "exactly the objects that should be there", 60, every=0.5)
    except AssertionError:
        pytest.fail(f"too many: {sorted(seen - wanted)}; missing: {sorted(wanted - seen)}")


def test_after_update_failure_and_retirement_only_what_should_be_there_is(place):
    tidy = {"name": "tidy", "kind": "constant"}
    place.models(
        [
            tidy | {"say": 1, "serving": BUDGET},
            tidy | {"say": 2},
            tidy | {"kind": "load-error", "say": 3},
        ]
    )
    place.alias("tidy", 1)
    seen = place.serves("tidy", 1, seconds=600)
    deployment, first = seen["id"], serving_one(seen)
    kept = {("ModelDeployment", deployment), ("HTTPRoute", deployment)}
    own = {(kind, first) for kind in ("ConfigMap", "Deployment", "Service", "PodDisruptionBudget")}
    exactly(place, kept | own)

    where = place.environment
    place.cluster.apply(*strangers(list(everything(place).values())), namespace=where)
    theirs = {k: o for k, o in everything(place).items() if k not in kept | own}
    assert len(theirs) == 3 * len(kept | own)

    place.alias("tidy", 2)
    second = serving_one(place.serves("tidy", 2))
    own = {(kind, second) for kind in ("ConfigMap", "Deployment", "Service")}
    exactly(place, kept | own | set(theirs))

    place.alias("tidy", 3)
    place.wait("tidy", lambda d: d["reason"] == "LoadError")
    exactly(place, kept | own | set(theirs))

    place.platform.mlflow.drop_alias(place.model("tidy"), where)
    place.wait("tidy", lambda d: d["state"] == "Retired")
    exactly(place, {("ModelDeployment", deployment), *theirs})
    now = everything(place)
    for key, was in theirs.items():
        assert set_by_somebody(now[key]) == set_by_somebody(was)
    ours = f"schnitzel.dev/deployment={deployment}"
    wait_for(lambda: not place.labelled(ours, "Pod"), "the last pod to be gone", 60)
