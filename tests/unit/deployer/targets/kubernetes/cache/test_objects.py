"""Objects kept small, and what is to be done to them: pure."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, strategies as st

from deployer.targets.kubernetes.apply.decide import Action, Cause, decide, in_apply_order, to_prune
from deployer.targets.kubernetes.cache.objects import APPLIED, LiveObject, Owner, Packer, digest_of
from deployer.targets.kubernetes.client import kinds

OWNER = Owner("platform-1", "angler-prod", "uid-of-owner")
LABELS = {"schnitzel.dev/platform": "platform-1", "schnitzel.dev/deployment": "angler-prod"}


def wanted(kind: str = "Deployment", name: str = "one", **spec: object) -> dict:
    version = {"Deployment": "apps/v1", "HTTPRoute": "gateway.networking.k8s.io/v1"}
    return {
        "apiVersion": version.get(kind, "v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "prod",
            "labels": LABELS,
            "ownerReferences": [{"uid": OWNER.uid, "name": "angler-prod"}],
        },
        "spec": spec,
    }


def served(manifest: dict, **meta: object) -> dict:
    live = copy.deepcopy(manifest)
    live["metadata"] |= {
        "uid": f"uid-of-{manifest['metadata']['name']}",
        "resourceVersion": "7",
        "annotations": {APPLIED: digest_of(manifest)},
    } | meta
    return live


def packed(obj: dict) -> LiveObject:
    return Packer(kinds.kind_of(obj)).pack(obj)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), min_size=1, max_size=5))
def test_what_is_packed_is_unpacked_whatever_came_first(specs):
    packer = Packer(kinds.DEPLOYMENT)
    objects = [served(wanted(name=f"n{n}", x=spec)) for n, spec in enumerate(specs)]
    small = [packer.pack(obj) for obj in objects]
    assert [one.object() for one in small] == objects


def test_an_object_tells_whose_it_is():
    obj = served(wanted(), deletionTimestamp="2026-01-01T00:00:00Z", generation=3)
    obj["metadata"]["managedFields"] = [
        {"manager": "schnitzel", "operation": "Apply"},
        {"manager": "kubelet", "operation": "Update", "subresource": "status"},
    ]
    live = packed(obj)
    assert (live.platform, live.deployment, live.owners) == (
        "platform-1",
        "angler-prod",
        (OWNER.uid,),
    )
    assert live.deleting
    assert live.generation == 3
    assert live.managers == ("schnitzel/Apply",)
    assert str(live.key) == "Deployment/one"


def test_a_fingerprint_changes_with_what_can_be_set_and_with_nothing_else():
    obj = served(wanted(replicas=1))
    same = packed(obj).fingerprint
    noise = {"resourceVersion": "8", "generation": 2, "managedFields": [{"manager": "m"}]}
    for name, value in noise.items():
        other = copy.deepcopy(obj)
        other["metadata"][name] = value if name != "managedFields" else []
        assert packed(other).fingerprint == same, name
    assert packed(obj | {"status": {"replicas": 1}}).fingerprint == same
    noted = copy.deepcopy(obj)
    noted["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    assert packed(noted).fingerprint == same
    noted["metadata"]["annotations"]["team"] = "fish"
    assert packed(noted).fingerprint != same
    assert packed(obj | {"spec": {"replicas": 2}}).fingerprint != same
    labelled = copy.deepcopy(obj)
    labelled["metadata"]["labels"]["team"] = "fish"
    assert packed(labelled).fingerprint != same


def test_an_object_of_a_list_has_the_fingerprint_of_the_same_object_alone():
    obj = served(wanted(replicas=1))
    listed = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}
    alone = packed(obj)
    for found in (listed, {**listed, "kind": obj["kind"], "apiVersion": obj["apiVersion"]}):
        assert Packer(kinds.DEPLOYMENT).pack(found).fingerprint == alone.fingerprint


def test_a_digest_is_of_the_manifest_in_any_order_without_its_own_note():
    one = wanted(a=1, b={"c": 1, "d": 2})
    other = wanted(b={"d": 2, "c": 1}, a=1)
    assert digest_of(one) == digest_of(other)
    noted = copy.deepcopy(one)
    noted["metadata"]["annotations"] = {APPLIED: "x"}
    assert digest_of(noted) == digest_of(one)
    noted["metadata"]["annotations"]["more"] = "y"
    assert digest_of(noted) != digest_of(one)


def test_others_come_after_what_they_need():
    mixed = [wanted(kind) for kind in ("HTTPRoute", "Service", "Deployment", "ConfigMap")]
    assert [m["kind"] for m in in_apply_order(mixed)] == [
        "ConfigMap",
        "Deployment",
        "Service",
        "HTTPRoute",
    ]


@pytest.mark.parametrize(
    ("change", "act", "cause"),
    [
        (None, Action.CREATE, Cause.NEW),
        ({}, Action.UNCHANGED, Cause.NONE),
        ({"spec": {"replicas": 5}}, Action.UPDATE, Cause.DRIFT),
        ({"spec": {"replicas": 2, "added": 1}, "status": {"x": 1}}, Action.UNCHANGED, Cause.NONE),
        ({"metadata": {"annotations": {}}}, Action.UPDATE, Cause.CHANGED),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, Action.WAIT, Cause.NONE),
        ({"metadata": {"labels": {}}}, Action.CONFLICT, Cause.NONE),
        (
            {"metadata": {"labels": LABELS | {"schnitzel.dev/platform": "platform-2"}}},
            Action.CONFLICT,
            Cause.NONE,
        ),
        (
            {"metadata": {"labels": LABELS | {"schnitzel.dev/deployment": "other"}}},
            Action.CONFLICT,
            Cause.NONE,
        ),
    ],
)
def test_what_is_to_be_done_follows_from_what_is_there(change, act, cause):
    manifest = wanted(replicas=2)
    live = None
    if change is not None:
        obj = served(manifest)
        for part, fields in change.items():
            obj[part] = obj.get(part, {}) | fields
        live = packed(obj)
    decision = decide(manifest, live, OWNER)
    assert (decision.act, decision.cause) == (act, cause)
    assert bool(decision.problem) == (act in (Action.CONFLICT, Action.WAIT))


def test_somebody_elses_object_is_taken_only_if_a_person_says_so():
    manifest = wanted(replicas=2)
    theirs = packed({**served(manifest), "metadata": served(manifest)["metadata"] | {"labels": {}}})
    assert decide(manifest, theirs, OWNER, adopt=("another",)).act is Action.CONFLICT
    decision = decide(manifest, theirs, OWNER, adopt=(theirs.uid,))
    assert (decision.act, decision.cause) == (Action.UPDATE, Cause.ADOPTED)


def test_a_field_that_cannot_change_in_place_is_named():
    before = wanted(selector={"matchLabels": {"a": "1"}})
    after = wanted(selector={"matchLabels": {"a": "2"}})
    decision = decide(after, packed(served(before)), OWNER)
    assert decision.act is Action.REFUSED
    assert "spec.selector.matchLabels.a" in decision.problem


def test_paths_that_are_ignored_or_that_the_server_keeps_its_own_way_do_not_count():
    manifest = wanted(replicas=2)
    live = packed({**served(manifest), "spec": {"replicas": 3}})
    assert decide(manifest, live, OWNER, ignore=["spec.replicas"]).act is Action.UNCHANGED
    assert decide(manifest, live, OWNER, accepted={"spec.replicas"}).act is Action.UNCHANGED


def test_only_what_is_ours_and_of_this_owner_is_pruned_the_route_first():
    keep = packed(served(wanted(name="keep")))
    going = [packed(served(wanted(kind, "old"))) for kind in ("ConfigMap", "Deployment")]
    route = packed(served(wanted("HTTPRoute", "old")))
    strange = [
        packed(served(wanted(name="a"), labels={})),
        packed(served(wanted(name="b"), labels=LABELS | {"schnitzel.dev/platform": "p2"})),
        packed(served(wanted(name="c"), ownerReferences=[])),
        packed(served(wanted(name="d"), ownerReferences=[{"uid": "another"}])),
        packed(served(wanted(name="e"), deletionTimestamp="2026-01-01T00:00:00Z")),
        packed(served(wanted("Pod", "f"))),
    ]
    pruned = to_prune([*going, *strange, keep, route], {keep.key}, OWNER)
    assert [obj.key.kind for obj in pruned] == ["HTTPRoute", "Deployment", "ConfigMap"]
    assert to_prune(going, set(), Owner("platform-1", "angler-prod", "")) == []
