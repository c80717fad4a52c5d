"""What only a cluster has: objects and their owners, events, strangers, an API server that stops.

What is true of every target: tests/contract.
"""

from __future__ import annotations

import json
import re

import pytest
from support.faults.api_proxy import ApiProxy
from support.load import Load
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster

from deployer.naming import deployment_id

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = ClusterPlatform(cluster(), tmp_path_factory.mktemp("cluster") / "home", builds=False)
    names = ("gone", "restless", "claimed")
    models = [
        {"name": made.model(name), "kind": "constant", "say": say}
        for name in names
        for say in (1, 2)
    ]
    try:
        log_models(made.mlflow.url, models)
        made.up()
        yield made
    finally:
        made.down()


def promote(platform, model: str, version: int) -> None:
    platform.mlflow.alias(platform.model(model), platform.environment("prod"), version)


def test_a_model_deployment_tells_what_serves_and_owns_what_is_made_for_it(platform):
    promote(platform, "restless", 1)
    seen = platform.serving("restless", 1, seconds=600)
    answer = platform.predict(seen["url"], rows=2)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [1, 1]}
    assert answer.headers["x-schnitzel-model-version"] == "1"
    [shown] = platform.objects("modeldeployments")
    assert shown["status"]["serving"] == "1"
    assert shown["status"]["ready"] == "1/1"
    assert shown["status"]["url"] == seen["url"]
    kinds = ("configmaps", "deployments", "services")
    own = [o for kind in kinds for o in platform.objects(kind)
           if "schnitzel.dev/predictor" in o["metadata"].get("labels", {})]  # fmt: skip
    assert len(own) == 3
    assert {o["metadata"]["ownerReferences"][0]["uid"] for o in own} == {shown["metadata"]["uid"]}


def test_what_is_put_back_is_told_as_an_event(platform):
    promote(platform, "restless", 1)
    [predictor] = platform.serving("restless", 1)["predictors"]
    where = platform.environment("prod")
    platform.cluster.kubectl("-n", where, "scale", "deployment", predictor["name"], "--replicas=3")
    wait_for(
        lambda: any(
            event["reason"] == "DriftCorrected" and "spec.replicas is 3" in event["message"]
            for event in platform.objects("events")
        ),
        "an event that says so",
        60,
        every=0.5,
    )


def test_what_is_not_ours_stays_as_it_is(platform):
    where = platform.environment("prod")
    strangers = [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"kept": "yes"}, "metadata": metadata}
        for metadata in (
            {"name": "a-strangers", "labels": {"app.kubernetes.io/managed-by": "schnitzel"}},
            {"name": "another-platforms", "labels": {"schnitzel.dev/platform": "other"}},
        )
    ]
    platform.cluster.apply(*strangers, namespace=where)
    before = platform.cluster.get("configmaps", "-n", where)["items"]
    promote(platform, "restless", 1)
    platform.serving("restless", 1)
    promote(platform, "restless", 2)
    platform.serving("restless", 2)
    found = platform.cluster.get("configmaps", "-n", where)["items"]
    after = {o["metadata"]["name"]: o for o in found}
    for name in ("a-strangers", "another-platforms", "kube-root-ca.crt"):
        [was] = [o for o in before if o["metadata"]["name"] == name]
        assert after[name] == was


def test_what_stands_in_the_way_is_taken_over_on_a_persons_word_alone(platform):
    name, where = platform.model("claimed"), platform.environment("prod")
    head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    theirs = {"metadata": {"name": deployment_id(name, where)}, "spec": {}}
    platform.cluster.apply(head | theirs, namespace=where)
    promote(platform, "claimed", 1)
    told = platform.wait(name, lambda d: d["reason"] == "Conflict", where, 240)
    assert told["next_step"].endswith(f"schnitzel deploy apply {name} -e {where} --adopt")
    shown = wait_for(
        lambda: (
            (seen := platform.cluster.get("modeldeployment", told["id"], "-n", where)["status"])[
                "reason"
            ]
            == "Conflict"
            and seen
        ),
        "the ModelDeployment to say so",
        30,
    )
    assert (shown["state"], shown["wanted"]) == ("Failed", "1")
    assert (shown["message"], shown["nextStep"]) == (told["message"], told["next_step"])
    events = [
        (event["type"], event["message"])
        for event in platform.objects("events")
        if event["reason"] == "Conflict" and event["involvedObject"]["name"] == told["id"]
    ]
    assert events == [("Warning", told["message"])]
    shown = json.loads(platform.cli("deploy", "diff", name, "-e", where, "-o", "json"))
    reviewed = shown["diffs"][0]["digest"]
    [other] = [o for o in shown["diffs"][0]["objects"] if o["action"] == "conflict"]
    assert (other["kind"], other["name"]) == ("HTTPRoute", told["id"])

    promote(platform, "claimed", 2)
    plan = f"deployments/{told['id']}/plan"
    wait_for(lambda: platform.api(plan)["digest"] not in ("", reviewed), "another plan", 60)
    adopt = ("deploy", "apply", name, "-e", where, "--adopt")
    platform.cli(*adopt, "--plan", reviewed, code=1)
    assert platform.seen("claimed")["reason"] == "Conflict"
    platform.cli(*adopt, "--yes")
    platform.serving("claimed", 2)
    events = platform.api(f"deployments/{told['id']}/history")["events"]
    assert f"adopt HTTPRoute/{told['id']}" in [event["detail"] for event in events]
    wait_for(lambda: not platform.api(plan)["pending"], "nothing to do", 60)
    platform.cli("deploy", "diff", name, "-e", where, "--exit-code")
    tree = platform.cli("deploy", "tree", name, "-e", where)
    for kind in ("ModelDeployment", "Predictor", "Deployment", "Pod", "Service", "HTTPRoute"):
        assert f"{kind}/" in tree


def test_a_deleted_model_deployment_retires_it_and_is_asked_about(platform):
    promote(platform, "gone", 1)
    seen = platform.serving("gone", 1)
    where = platform.environment("prod")
    platform.cluster.kubectl("-n", where, "delete", "modeldeployment", seen["id"], "--wait=false")
    name = platform.model("gone")
    told = platform.wait(name, lambda d: d["reason"] == "DeletedByHand", where, 60)
    assert told["state"] == "Retired"

    def names() -> list[str]:
        return [str(o["metadata"]["name"]) for o in platform.objects("deployments")]

    wait_for(lambda: not [n for n in names() if seen["id"] in n], "its objects to be gone", 60)
    platform.cli("deploy", "apply", name, "-e", where, "--yes")
    platform.serving("gone", 1)


def test_an_api_server_that_is_away_for_a_while_costs_no_request(platform, tmp_path):
    """It takes connections and answers none of them, as one that was stopped does."""
    proxy = ApiProxy(platform.cluster.kubeconfig, tmp_path)
    try:
        platform.restart(kubeconfig=str(proxy.kubeconfig))
        promote(platform, "restless", 1)
        url = platform.serving("restless", 1)["url"]
        with Load(url) as load:
            proxy.hold = re.compile("")
            proxy.cut()
            promote(platform, "restless", 2)
            wait_for(
                lambda: platform.seen("restless")["state"] != "Serving", "it to be noticed", 60
            )
            proxy.hold = None
            platform.serving("restless", 2)
            restless = [
                o for o in platform.objects("deployments") if "restless" in o["metadata"]["name"]
            ]
            assert len(restless) <= 2
        assert not load.failed
        assert load.versions() == {"1", "2"}
    finally:
        platform.restart(kubeconfig=str(platform.cluster.kubeconfig))
        proxy.close()


def test_what_a_cluster_lacks_is_found_and_can_be_mended(platform):
    told = json.loads(platform.cli("cluster", "check", "-o", "json"))
    [found] = told["clusters"]
    assert found["name"] == "tests"
    assert {one["level"] for one in found["checks"]} == {"ok"}, found
    names = {one["name"] for one in found["checks"]}
    assert {f"permissions in {platform.environment('prod')}", "gateway", "registry"} <= names
