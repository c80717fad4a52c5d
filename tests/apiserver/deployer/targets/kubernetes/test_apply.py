"""Objects brought to what is wanted, on a real API server."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection

import pytest
from support.faults.api_proxy import ApiProxy
from support.run.wait import wait_for
from support.systems.cluster import Cluster

from deployer.config.clusters import Cluster as ClusterSettings
from deployer.spec.limits import LocalLimits
from deployer.spec.resolve import resolve
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.apply.decide import Action, Cause, decide_all
from deployer.targets.kubernetes.apply.execute import Executor
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import REVISION, LiveObject, Owner, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import (
    ApiError,
    Conflict,
    ForeignObject,
    Immutable,
    Unavailable,
)
from deployer.targets.kubernetes.client.kinds import Kind, kind_of
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.manifests import Manifests

PLATFORM = "platform-1"
LABELS = {"schnitzel.dev/platform": PLATFORM, "schnitzel.dev/deployment": "angler-prod"}


def config_map(namespace: str, name: str = "one", labels: dict | None = None, **data: str) -> dict:
    meta = {"namespace": namespace, "name": name, "labels": LABELS | (labels or {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
def owner(client: Client, namespace: str) -> Owner:
    """Of an object that is there, for a garbage collector deletes what has no owner."""
    meta = {"namespace": namespace, "name": "angler-prod"}
    spec = {"model": "angler", "environment": "prod", "platform": PLATFORM, "record": {}}
    kind = kinds.MODEL_DEPLOYMENT
    head = {"apiVersion": kind.api_version, "kind": kind.name}
    made = client.create(head | {"metadata": meta, "spec": spec})
    return Owner(PLATFORM, "angler-prod", made["metadata"]["uid"])


def owned(manifest: dict, owner: Owner) -> dict:
    reference = {
        "apiVersion": kinds.MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "name": owner.deployment,
        "uid": owner.uid,
    }
    meta = manifest["metadata"] | {"ownerReferences": [reference]}
    return manifest | {"metadata": meta}


def read(client: Client, *manifests: Object) -> list[LiveObject]:
    found = []
    for manifest in manifests:
        kind, meta = kind_of(manifest), manifest["metadata"]
        obj = client.find(kind, meta["namespace"], meta["name"])
        if obj:
            found.append(Packer(kind).pack(obj))
    return found


def bring(
    client: Client, owner: Owner, *manifests: Object, adopt: Collection[str] = ()
) -> list[str]:
    """One pass: read, decide, do; what was written."""
    executor = Executor(client)
    decisions = decide_all(manifests, read(client, *manifests), owner, adopt=adopt)
    return [key.kind for key in executor.execute(decisions, owner, adopt=adopt)]


def test_what_is_wanted_comes_to_be_and_a_second_pass_writes_nothing(
    proxy: ApiProxy, proxied: Client, client: Client, namespace: str, owner: Owner
):
    one = owned(config_map(namespace, a="1"), owner)
    assert bring(client, owner, one) == ["ConfigMap"]
    assert bring(proxied, owner, one) == []
    assert proxy.writes() == []


def test_a_change_is_applied_and_what_is_named_no_more_goes(
    client: Client, namespace: str, owner: Owner
):
    bring(client, owner, owned(config_map(namespace, a="1", b="1"), owner))
    for wanted in ({"a": "2"}, {"a": "2", "c": "3"}, {"c": "3"}):
        assert bring(client, owner, owned(config_map(namespace, **wanted), owner)) == ["ConfigMap"]
        assert client.get(kinds.CONFIG_MAP, namespace, "one")["data"] == wanted


def test_a_field_changed_by_hand_is_seen_named_and_restored(
    real: Cluster, client: Client, namespace: str, owner: Owner
):
    one = owned(config_map(namespace, a="1"), owner)
    bring(client, owner, one)
    patch = '{"data": {"a": "9", "theirs": "x"}}'
    real.kubectl("patch", "configmap", "one", "-n", namespace, "--type=merge", "-p", patch)
    (decision,) = decide_all([one], read(client, one), owner)
    assert (decision.act, decision.cause) == (Action.UPDATE, Cause.DRIFT)
    assert [(c.path, c.was, c.wanted) for c in decision.changes] == [("data.a", "9", "1")]
    bring(client, owner, one)
    data = client.get(kinds.CONFIG_MAP, namespace, "one")["data"]
    assert data == {"a": "1", "theirs": "x"}
    assert bring(client, owner, one) == []


def test_a_preview_is_what_the_server_would_do(client: Client, namespace: str, owner: Owner):
    one = owned(config_map(namespace, a="1", b="1"), owner)
    executor = Executor(client)
    (new,) = decide_all([one], [], owner)
    assert ("data", None, {"a": "1", "b": "1"}) in [
        (c.path, c.was, c.wanted) for c in executor.dry_run(new)
    ]
    assert read(client, one) == []
    bring(client, owner, one)
    other = owned(config_map(namespace, a="2", b="1"), owner)
    (changed,) = decide_all([other], read(client, other), owner)
    assert [(c.path, c.was, c.wanted) for c in executor.dry_run(changed)] == [("data.a", "1", "2")]


def test_somebody_elses_object_is_left_alone_until_a_person_says_otherwise(
    real: Cluster, proxy: ApiProxy, proxied: Client, client: Client, namespace: str, owner: Owner
):
    theirs = config_map(namespace, a="theirs", c="theirs")
    theirs["metadata"]["labels"] = {"app": "theirs"}
    real.apply(theirs, namespace=namespace)
    before = client.get(kinds.CONFIG_MAP, namespace, "one")
    ours = [owned(config_map(namespace, a="ours"), owner), owned(config_map(namespace, "b"), owner)]
    with pytest.raises(ForeignObject, match="was not made by Schnitzel") as caught:
        bring(proxied, owner, *ours)
    assert caught.value.reason == "Conflict"
    assert "--adopt" in caught.value.hint
    assert proxy.writes() == []
    assert client.get(kinds.CONFIG_MAP, namespace, "one") == before
    uids = (before["metadata"]["uid"],)
    assert bring(client, owner, *ours, adopt=uids) == ["ConfigMap", "ConfigMap"]
    adopted = client.get(kinds.CONFIG_MAP, namespace, "one")
    assert adopted["data"] == {"a": "ours", "c": "theirs"}
    assert bring(client, owner, *ours) == []


@pytest.mark.parametrize("whose", ["theirs", "ours"])
def test_an_object_made_after_the_look_is_looked_at_before_anything_is_done(
    client: Client, namespace: str, owner: Owner, whose: str
):
    one = owned(config_map(namespace, a="1"), owner)
    executor = Executor(client)
    decisions = decide_all([one], [], owner)
    if whose == "ours":
        bring(client, owner, one)
        assert executor.execute(decisions, owner) == []
        return
    theirs = client.create(config_map(namespace, b="1") | {"metadata": {
        "name": "one", "namespace": namespace}})  # fmt: skip
    with pytest.raises(ForeignObject):
        executor.execute(decisions, owner)
    assert client.get(kinds.CONFIG_MAP, namespace, "one") == theirs


def change(client: Client, namespace: str) -> None:
    client.server_side_apply(config_map(namespace, labels={"changed": "meanwhile"}))


def delete(client: Client, namespace: str) -> None:
    uid = client.get(kinds.CONFIG_MAP, namespace, "one")["metadata"]["uid"]
    client.delete(kinds.CONFIG_MAP, namespace, "one", uid=uid)


def replace(client: Client, namespace: str) -> None:
    delete(client, namespace)
    client.create(config_map(namespace, z="another"))


@pytest.mark.parametrize("meanwhile", [change, delete, replace])
@pytest.mark.parametrize("times", [0, 1])
def test_nothing_is_written_on_a_look_that_is_out_of_date(
    client: Client,
    namespace: str,
    owner: Owner,
    meanwhile: Callable[[Client, str], None],
    times: int,
):
    for number in range(times + 1):
        bring(client, owner, owned(config_map(namespace, a=str(number)), owner))
    other = owned(config_map(namespace, a="9"), owner)
    seen = read(client, other)
    executor = Executor(client)
    decisions = decide_all([other], seen, owner)
    meanwhile(client, namespace)
    after = client.find(kinds.CONFIG_MAP, namespace, "one")
    with pytest.raises(ApiError) as caught:
        executor.execute(decisions, owner)
    assert caught.value.transient or isinstance(caught.value, Conflict)
    if meanwhile is not delete:
        with pytest.raises(Conflict):
            executor.delete(seen[0])
    assert client.find(kinds.CONFIG_MAP, namespace, "one") == after


def test_an_object_that_is_being_deleted_is_waited_for(
    client: Client, namespace: str, owner: Owner
):
    one = owned(config_map(namespace), owner)
    one["metadata"]["finalizers"] = ["example.com/wait"]
    made = client.create(one)
    client.delete(kinds.CONFIG_MAP, namespace, "one", uid=made["metadata"]["uid"])
    with pytest.raises(Unavailable, match="is being deleted"):
        bring(client, owner, one)
    freed = client.get(kinds.CONFIG_MAP, namespace, "one")
    freed["metadata"]["finalizers"] = []
    client.replace(freed)


def test_a_field_that_the_server_will_not_change_is_named(
    client: Client, namespace: str, owner: Owner
):
    one = owned(config_map(namespace, a="1") | {"immutable": True}, owner)
    bring(client, owner, one)
    with pytest.raises(Immutable) as caught:
        bring(client, owner, one | {"data": {"a": "2"}})
    assert caught.value.fields == ("data",)
    assert "new predictor" in caught.value.hint


def test_what_is_pruned_is_exactly_what_is_ours_and_not_wanted(
    client: Client, namespace: str, owner: Owner
):
    ours = [owned(config_map(namespace, name), owner) for name in ("one", "two", "three")]
    bring(client, owner, *ours)
    client.create(config_map(namespace, "nobodys"))
    stranger = Owner("platform-2", owner.deployment, owner.uid)
    theirs = owned(
        config_map(namespace, "theirs", {"schnitzel.dev/platform": "platform-2"}), stranger
    )
    bring(client, stranger, theirs)
    live = [Packer(kinds.CONFIG_MAP).pack(o) for o in client.list(kinds.CONFIG_MAP, namespace)]
    keep = {obj.key for obj in live if obj.key.name == "two"}
    pruned = Executor(client).prune(live, keep, owner)
    assert {key.name for key in pruned} == {"one", "three"}
    left = {o["metadata"]["name"] for o in client.list(kinds.CONFIG_MAP, namespace)}
    assert left - {"kube-root-ca.crt"} == {"two", "nobodys", "theirs"}


FULL = {
    "autoscaling": {"min": 2, "max": 6, "cpu_percent": 60},
    "resources": {"cpu": 1.5, "memory": "2Gi", "gpu": 1},
    "image": "registry.example/team/model:1",
    "kubernetes": {
        "node_selector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "spread": "zone",
        "disruption_budget": {"max_unavailable": "25%"},
        "env": {"Z": "1", "A_TOKEN": {"secret": "s", "key": "k"}},
        "grace": "3m",
        "annotations": {"example.com/owner": "ann"},
        "pull_secrets": ["other"],
        "service_account": "team-a",
    },
}
CLUSTER = ClusterSettings.model_validate(
    {
        "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
        "server_image": "localhost:5000/schnitzel/model-server:0.1.0",
        "artifacts": {"secret": "artifacts"},
        "trust_bundle": {"config_map": "ca"},
    }
)


def rendered(fields: dict, namespace: str, owner: Owner) -> list[Object]:
    """A deployment's manifests, as the target makes them."""
    spec = resolve([("defaults", fields)], LocalLimits()).spec
    version = VersionId("angler", 3, 1_700_000_000_000, "m-1")
    predictor = Predictor(
        "angler-prod-v3-00000000", version, Role.CHAMPION, "0" * 64, "mlflow-artifacts:/1/a", spec
    )
    deployment = Deployment("angler-prod", "angler", "prod", (WeightedPredictor(predictor, 100),))
    manifests = Manifests(Charts(), CLUSTER, PLATFORM, "http://mlflow.example:5000")
    route = manifests.route(deployment, namespace, owner)
    assert route is not None
    return [*manifests.predictor(deployment, predictor, namespace, "image:1", owner), route]


@pytest.mark.parametrize("fields", [{}, FULL], ids=["default", "everything"])
def test_what_the_chart_renders_is_in_order_and_steady_once_it_is_applied(
    proxy: ApiProxy, proxied: Client, client: Client, namespace: str, owner: Owner, fields: dict
):
    wanted = rendered(fields, namespace, owner)
    written = bring(client, owner, *wanted)
    assert written[0] == "ConfigMap"
    assert written[-1] == "HTTPRoute"
    assert len(written) == len(wanted)
    for kind, name in ((kind_of(m), m["metadata"]["name"]) for m in wanted):
        note = {"op": "remove", "path": "/metadata/annotations/schnitzel.dev~1applied"}
        client.json_patch(kind, namespace, name, [note])
    # The note is lost, so that every object is applied again: that must not change a thing.
    bring(client, owner, *wanted)
    bring(proxied, owner, *wanted)
    assert proxy.writes() == []
    live = read(client, *wanted)
    assert len(live) == len(wanted)
    for decision in decide_all(wanted, live, owner):
        assert decision.act is Action.UNCHANGED, decision.changes


def test_what_is_reported_of_an_object_meanwhile_does_not_keep_it_from_being_changed(
    real: Cluster, client: Client, namespace: str, owner: Owner
):
    wanted = [m for m in rendered({}, namespace, owner) if m["kind"] == "HTTPRoute"]
    bring(client, owner, *wanted)
    seen = read(client, *wanted)
    changed = copy.deepcopy(wanted)
    changed[0]["metadata"]["labels"]["step"] = "2"
    executor = Executor(client)
    decisions = decide_all(changed, seen, owner)
    name = wanted[0]["metadata"]["name"]

    def report(message: str) -> None:
        condition = {"type": "Accepted", "status": "True", "reason": "Accepted"} | {
            "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"
        }  # fmt: skip
        told = {"controllerName": "example.com/gateway", "parentRef": {"name": "public"}}
        status = {"status": {"parents": [told | {"conditions": [condition]}]}}
        flags = ("-n", namespace, "--subresource=status", "--type=merge")
        real.kubectl("patch", "httproute", name, *flags, "-p", json.dumps(status))

    report("one")
    assert len(executor.execute(decisions, owner)) == 1
    (live,) = read(client, *wanted)
    report("two")
    assert read(client, *wanted)[0].resource_version != live.resource_version
    executor.delete(live)
    assert read(client, *wanted) == []


def test_a_deployment_whose_revision_is_noted_meanwhile_is_changed_all_the_same(
    client: Client, namespace: str, owner: Owner
):
    (wanted,) = (m for m in rendered({}, namespace, owner) if m["kind"] == "Deployment")
    created = client.create(wanted)
    assert REVISION not in created["metadata"].get("annotations", {})
    changed = copy.deepcopy(wanted)
    changed["metadata"]["labels"]["step"] = "2"
    seen = Packer(kinds.DEPLOYMENT).pack(created)
    place = (kinds.DEPLOYMENT, namespace, wanted["metadata"]["name"])
    wait_for(lambda: REVISION in client.get(*place)["metadata"].get("annotations", {}))
    assert len(Executor(client).execute(decide_all([changed], [seen], owner), owner)) == 1
    assert client.get(*place)["metadata"]["labels"]["step"] == "2"


def test_what_an_autoscaler_sets_is_not_ours(client: Client, namespace: str, owner: Owner):
    wanted = rendered(FULL, namespace, owner)
    bring(client, owner, *wanted)
    (name,) = (m["metadata"]["name"] for m in wanted if m["kind"] == "Deployment")
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 5}]
    client.json_patch(kinds.DEPLOYMENT, namespace, name, operations)
    assert bring(client, owner, *wanted) == []


def test_a_deployment_that_was_found_as_wanted_is_known_again_until_anything_changes(
    client: Client, namespace: str, owner: Owner
):
    wanted = rendered({}, namespace, owner)
    bring(client, owner, *wanted)
    unchanged = Unchanged()
    assert not unchanged.holds("angler-prod", "inputs", read(client, *wanted))
    unchanged.note("angler-prod", "inputs", read(client, *wanted))
    assert unchanged.holds("angler-prod", "inputs", read(client, *wanted))
    assert not unchanged.holds("angler-prod", "other inputs", read(client, *wanted))
    assert not unchanged.holds("angler-prod", "inputs", read(client, *wanted)[1:])
    (service,) = (copy.deepcopy(m) for m in wanted if m["kind"] == "Service")
    operations = [{"op": "add", "path": "/metadata/labels/by", "value": "hand"}]
    client.json_patch(kinds.SERVICE, namespace, service["metadata"]["name"], operations)
    assert not unchanged.holds("angler-prod", "inputs", read(client, *wanted))
    unchanged.forget("angler-prod")
    assert not unchanged.holds("angler-prod", "inputs", [])


def test_what_is_written_is_told_so_that_the_next_look_knows_it(
    client: Client, namespace: str, owner: Owner
):
    told: list[tuple[Kind, str]] = []
    gone: list[str] = []
    one = owned(config_map(namespace, a="1"), owner)
    executor = Executor(
        client,
        lambda kind, obj: told.append((kind, obj["metadata"]["resourceVersion"])),
        gone.append,
    )
    executor.execute(decide_all([one], [], owner), owner)
    (live,) = read(client, one)
    assert told == [(kinds.CONFIG_MAP, live.resource_version)]
    executor.prune([live], set(), owner)
    assert gone == [live.uid]
    assert read(client, one) == []
