from __future__ import annotations

import copy

import pytest
from hypothesis import assume, example, given, strategies as st

from deployer.plan.diff import FieldChange
from deployer.plan.redact import masked
from deployer.redact import GONE
from deployer.targets.kubernetes.apply.diff import difference, drift, pattern_of
from deployer.targets.kubernetes.cache.objects import APPLIED

WANTED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "angler-prod-v3-1a2b3c4d", "labels": {"app.kubernetes.io/part-of": "a"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "automountServiceAccountToken": False,
                "hostNetwork": False,
                "containers": [
                    {
                        "name": "server",
                        "image": "registry/server:1",
                        "args": ["a", "b"],
                        "env": [{"name": "MODE", "value": ""}, {"name": "N", "value": "1"}],
                        "ports": [{"containerPort": 8080, "name": "http"}],
                        "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
                        "securityContext": {},
                    }
                ],
                "volumes": [{"name": "model", "emptyDir": {}}],
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
            }
        },
    },
}


def served() -> dict:
    """WANTED as an API server of 1.34 gives it back."""
    live = copy.deepcopy(WANTED)
    live["metadata"] |= {
        "uid": "u", "resourceVersion": "7", "generation": 1, "managedFields": [{"manager": "x"}],
        "annotations": {"deployment.kubernetes.io/revision": "1", APPLIED: "0"},
    }  # fmt: skip
    live["status"] = {"readyReplicas": 2}
    pod = live["spec"]["template"]["spec"]
    del pod["hostNetwork"]
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default"}
    container = pod["containers"][0]
    container["env"][0] = {"name": "MODE"}
    container["ports"][0]["protocol"] = "TCP"
    container["resources"]["limits"] = {"cpu": "500m", "memory": "1Gi"}
    container["imagePullPolicy"] = "IfNotPresent"
    return live


def container(live: dict) -> dict:
    found = live["spec"]["template"]["spec"]["containers"][0]
    assert isinstance(found, dict)
    return found


def test_what_the_server_filled_in_or_wrote_another_way_is_no_drift():
    assert drift(served(), WANTED) == ()


def test_what_others_added_is_no_drift():
    live = served()
    live["metadata"]["labels"]["team"] = "fish"
    container(live)["env"].insert(0, {"name": "ADDED", "value": "1"})
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar", "image": "i"})
    live["spec"]["template"]["spec"]["volumes"].append({"name": "more", "emptyDir": {}})
    assert drift(live, WANTED) == ()


SERVER = "spec.template.spec.containers[name=server]"


@pytest.mark.parametrize(
    ("spoil", "change"),
    [
        (lambda o: o["spec"].update(replicas=5), FieldChange("spec.replicas", 5, 2)),
        (
            lambda o: container(o).update(image="evil"),
            FieldChange(f"{SERVER}.image", "evil", "registry/server:1"),
        ),
        (
            lambda o: container(o)["env"][1].update(value="2"),
            FieldChange(f"{SERVER}.env[name=N].value", "2", "1"),
        ),
        (
            lambda o: container(o)["env"].pop(),
            FieldChange(f"{SERVER}.env[name=N]", None, {"name": "N", "value": "1"}),
        ),
        (
            lambda o: container(o)["args"].append("c"),
            FieldChange(f"{SERVER}.args", ["a", "b", "c"], ["a", "b"]),
        ),
        (
            lambda o: container(o)["resources"]["limits"].update(memory="2Gi"),
            FieldChange(f"{SERVER}.resources.limits.memory", "2Gi", "1024Mi"),
        ),
        (
            lambda o: o["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
            FieldChange("spec.template.spec.automountServiceAccountToken", None, False),
        ),
        (
            lambda o: o["metadata"]["labels"].clear(),
            FieldChange("metadata.labels[app.kubernetes.io/part-of]", None, "a"),
        ),
    ],
)
def test_a_field_of_ours_that_somebody_changed_is_named(spoil, change):
    live = served()
    spoil(live)
    assert drift(live, WANTED) == (change,)


def test_ignored_paths_do_not_count_nor_what_is_beneath_them():
    live = served()
    live["spec"]["replicas"] = 5
    container(live)["resources"]["limits"]["memory"] = "2Gi"
    assert (
        drift(live, WANTED, ["spec.replicas", "spec.template.spec.containers[*].resources"]) == ()
    )
    assert [
        c.path for c in drift(live, WANTED, ["spec.rep", f"{SERVER}.resources.limits.mem"])
    ] == [
        "spec.replicas",
        f"{SERVER}.resources.limits.memory",
    ]


@pytest.mark.parametrize(
    ("pointer", "pattern"),
    [
        ("/spec/replicas", "spec.replicas"),
        (
            "/spec/template/spec/containers/0/resources",
            "spec.template.spec.containers[*].resources",
        ),
        (
            "/metadata/labels/app.kubernetes.io~1part-of",
            "metadata.labels[app.kubernetes.io/part-of]",
        ),
        ("/data/predictor.json", "data[predictor.json]"),
    ],
)
def test_a_pointer_of_the_settings_is_a_path_to_ignore(pointer, pattern):
    assert pattern_of(pointer) == pattern


def test_a_pointer_hides_just_what_it_names():
    live = served()
    live["spec"]["replicas"] = 5
    container(live)["resources"]["limits"]["memory"] = "2Gi"
    ignored = pattern_of("/spec/template/spec/containers/0/resources")
    assert [change.path for change in drift(live, WANTED, [ignored])] == ["spec.replicas"]


def test_a_text_that_is_json_is_compared_field_by_field():
    before = {"data": {"predictor.json": '{"port": 8080, "a": {"b": 1}}'}}
    after = {"data": {"predictor.json": '{ "a": {"b": 2}, "port": 8080}'}}
    assert drift(before, after) == (FieldChange("data[predictor.json].a.b", 1, 2),)
    added = {"data": {"predictor.json": '{"port": 8080, "a": {"b": 1}, "c": 1}'}}
    assert drift(added, before) == (FieldChange("data[predictor.json].c", 1, None),)


def test_a_difference_shows_what_comes_and_what_goes():
    after = served()
    after["spec"]["replicas"] = 3
    container(after)["env"] = [{"name": "N", "value": "1"}, {"name": "NEW", "value": "x"}]
    assert difference(served(), after) == (
        FieldChange("spec.replicas", 2, 3),
        FieldChange(f"{SERVER}.env[name=MODE]", {"name": "MODE"}, None),
        FieldChange(f"{SERVER}.env[name=NEW]", None, {"name": "NEW", "value": "x"}),
    )
    assert difference(served(), served()) == ()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (FieldChange(f"{SERVER}.env[name=API_TOKEN].value", "a", "b"), (GONE, GONE)),
        (
            FieldChange(f"{SERVER}.env[name=API_TOKEN]", None, {"name": "API_TOKEN", "value": "x"}),
            (None, {"name": "API_TOKEN", "value": GONE}),
        ),
        (
            FieldChange(
                f"{SERVER}.env[name=API_TOKEN]",
                None,
                {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ),
            (None, {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        ),
        (
            FieldChange(
                "data[predictor.json].tracking_uri", "http://me:pw@mlflow/", "http://mlflow/"
            ),
            ("http://[redacted]@mlflow/", "http://mlflow/"),
        ),
        (
            FieldChange(f"{SERVER}.env[name=URL].value", None, "http://me:pw@mlflow/"),
            (None, "http://[redacted]@mlflow/"),
        ),
        (FieldChange("spec.template.spec.serviceAccountName", "a", "b"), ("a", "b")),
        (
            FieldChange("spec.template.spec.automountServiceAccountToken", None, False),
            (None, False),
        ),
        (FieldChange("spec.template.spec.imagePullSecrets[name=pull].name", "a", "b"), ("a", "b")),
    ],
)
def test_secrets_are_masked_and_their_names_are_not(change, shown):
    hidden = masked(change)
    assert (hidden.was, hidden.wanted) == shown
    assert hidden.path == change.path


def test_all_data_of_a_secret_is_masked():
    assert masked(FieldChange("data.user", "YQ==", "Yg=="), "Secret").wanted == GONE
    assert masked(FieldChange("data", None, {"user": "Yg=="}), "Secret").wanted == {"user": GONE}


NAMES = st.sampled_from(["a", "b", "c", "containers", "env", "ports", "x.y/z", "limits", "cpu"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab01", max_size=2)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.fixed_dictionaries({"spec": st.dictionaries(NAMES, VALUES, max_size=4)})


def filled_in(value):
    """As a server may give it back: more fields, everywhere."""
    if isinstance(value, dict):
        return {**{name: filled_in(item) for name, item in value.items()}, "defaulted": 1}
    if isinstance(value, list):
        return [filled_in(item) for item in value]
    return value


@given(OBJECTS)
def test_an_object_does_not_differ_from_itself(obj):
    assert drift(obj, obj) == ()
    assert difference(obj, copy.deepcopy(obj)) == ()


@given(OBJECTS)
def test_defaults_never_count(obj):
    assert drift(filled_in(obj), obj) == ()


def places(value, path=()):
    """Each set leaf of a value, as the steps to it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in items:
        if isinstance(item, dict | list):
            yield from places(item, (*path, step))
        elif item is not None:
            yield (*path, step)


@given(OBJECTS, st.data())
def test_one_changed_leaf_is_found_wherever_it_is(obj, data):
    found = list(places(obj))
    assume(found)
    *steps, last = data.draw(st.sampled_from(found))
    live = inner = filled_in(obj)
    for step in steps:
        inner = inner[step]
    inner[last] = "changed"
    assert drift(live, obj)


@pytest.mark.parametrize("place", [0, 1])
def test_items_that_have_the_same_key_are_compared_by_their_places(place):
    wanted = {"spec": {"ports": [{"a": False}, {"a": False}]}}
    live = copy.deepcopy(wanted)
    live["spec"]["ports"][place]["a"] = "changed"
    assert drift(live, wanted)
    assert difference(live, wanted)


@given(OBJECTS, OBJECTS)
@example({"spec": {"b": [{"limits": True}]}}, {"spec": {"b": [{"limits": 1}]}})
def test_what_drifts_differs(live, wanted):
    if drift(live, wanted):
        assert difference(live, wanted)


@given(OBJECTS, OBJECTS)
def test_a_difference_is_the_same_from_either_side(one, other):
    forth = {(c.path, repr(c.was), repr(c.wanted)) for c in difference(one, other)}
    back = {(c.path, repr(c.wanted), repr(c.was)) for c in difference(other, one)}
    assert forth == back


def test_of_a_list_without_keys_the_fields_that_differ_are_named():
    """As of a SeldonDeployment's predictors, whose items the server knows by their place."""

    def seldon(graph: str, replicas: int) -> dict:
        inner = {"name": "main", "replicas": replicas, "graph": {"name": graph}}
        return {"metadata": {}, "spec": {"predictors": [inner]}}

    live, wanted = seldon("other", 1), seldon("model", 1)
    assert drift(live, wanted) == (FieldChange("spec.predictors[0].graph.name", "other", "model"),)
    assert drift(live, wanted, [pattern_of("/spec/predictors/0/graph")]) == ()
    [longer] = drift({**live, "spec": {"predictors": [{}, {}]}}, wanted)
    assert longer.path == "spec.predictors"
