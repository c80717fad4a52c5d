"""What is on a cluster is what should be: nothing of ours is left over, nobody else's is taken."""

from __future__ import annotations

import copy

import pytest
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(900)

KINDS = (
    "modeldeployments", "httproutes", "deployments", "services", "configmaps",
    "poddisruptionbudgets", "horizontalpodautoscalers",
)  # fmt: skip
BUDGET = {"kubernetes": {"disruption_budget": {"max_unavailable": 1}}}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = ClusterPlatform(cluster(), tmp_path_factory.mktemp("prune") / "home")
    name = made.model("tidy")
    try:
        log_models(
            made.mlflow.url,
            [
                {"name": name, "kind": "constant", "say": 1, "serving": BUDGET},
                {"name": name, "kind": "constant", "say": 2},
                {"name": name, "kind": "load-error", "say": 3},
            ],
        )
        made.up()
        yield made
    finally:
        made.down()


def everything(platform) -> dict[tuple[str, str], dict]:
    """Every object in the namespace that somebody made, by kind and name."""
    found = platform.objects(",".join(KINDS))
    named = {(o["kind"], o["metadata"]["name"]): o for o in found}
    del named["ConfigMap", "kube-root-ca.crt"]
    return named


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


def exactly(platform, wanted: set[tuple[str, str]]) -> None:
    """Wait until what is there is this and nothing else."""
    seen: set[tuple[str, str]] = set()

    def same() -> bool:
        nonlocal seen
        seen = set(everything(platform))
        return seen == wanted

    try:
        wait_for(same, "exactly the objects that should be there", 60, every=0.5)
    except AssertionError:
        pytest.fail(f"too many: {sorted(seen - wanted)}; missing: {sorted(wanted - seen)}")


def test_after_update_failure_and_retirement_only_what_should_be_there_is(platform):
    name, where = platform.model("tidy"), platform.environment("prod")
    platform.mlflow.alias(name, where, 1)
    seen = platform.serving("tidy", 1, seconds=600)
    deployment, first = seen["id"], serving_one(seen)
    kept = {("ModelDeployment", deployment), ("HTTPRoute", deployment)}
    own = {(kind, first) for kind in ("ConfigMap", "Deployment", "Service", "PodDisruptionBudget")}
    exactly(platform, kept | own)

    platform.cluster.apply(*strangers(list(everything(platform).values())), namespace=where)
    theirs = {k: o for k, o in everything(platform).items() if k not in kept | own}
    assert len(theirs) == 3 * len(kept | own)

    platform.mlflow.alias(name, where, 2)
    second = serving_one(platform.serving("tidy", 2))
    own = {(kind, second) for kind in ("ConfigMap", "Deployment", "Service")}
    exactly(platform, kept | own | set(theirs))

    platform.mlflow.alias(name, where, 3)
    platform.wait(name, lambda d: d["reason"] == "LoadError", where, 120)
    exactly(platform, kept | own | set(theirs))

    platform.mlflow.drop_alias(name, where)
    platform.wait(name, lambda d: d["state"] == "Retired", where, 60)
    exactly(platform, {("ModelDeployment", deployment), *theirs})
    now = everything(platform)
    for key, was in theirs.items():
        assert set_by_somebody(now[key]) == set_by_somebody(was)
    ours = f"schnitzel.dev/platform={platform.mark}"
    wait_for(
        lambda: not platform.cluster.get("pods", "-n", where, "-l", ours)["items"],
        "the last pod to be gone",
        60,
    )
