from typing import Any

import pytest
from hypothesis import given, strategies as st

from deployer.errors import SpecInvalid
from deployer.schema.units import format_duration, format_quantity, parse_cpu
from deployer.spec.resolve import (
    Limits,
    ServingSpec,
    parse_duration,
    parse_quantity,
    parse_serving_file,
    resolve,
    spec_digest,
)

GI = 1024**3
NO_LIMITS = Limits(
    runtimes=["mlflow", "seldon", "tfserving", "queue"],
    replicas=None,
    max_body=None,
    ready_timeout=None,
)


def test_a_model_with_no_file_deploys_with_defaults() -> None:
    resolved = resolve([], Limits())
    assert resolved.spec == ServingSpec()
    assert resolved.spec.runtime == "mlflow"
    assert resolved.spec.rollout.steps == [100]
    assert set(resolved.origins.values()) == {"default"}
    assert resolved.origins["rollout.ready_timeout"] == "default"


def test_a_later_layer_wins_field_by_field_and_origins_say_which() -> None:
    resolved = resolve(
        [
            ("platform.yaml", {"replicas": 2, "timeout_seconds": 30}),
            ("serving.yaml", {"replicas": 3, "resources": {"memory": "2Gi", "cpu": "500m"}}),
            ("environment prod", {"resources": {"cpu": 2}, "rollout": {"steps": [10, 100]}}),
            ("override by ann", {}),
        ],
        Limits(),
    )
    assert resolved.spec.replicas == 3
    assert resolved.spec.resources.memory == 2 * GI
    assert resolved.spec.resources.cpu == 2
    assert resolved.spec.rollout.steps == [10, 100]
    chosen = {name: origin for name, origin in resolved.origins.items() if origin != "default"}
    assert chosen == {
        "timeout_seconds": "platform.yaml",
        "replicas": "serving.yaml",
        "resources.memory": "serving.yaml",
        "resources.cpu": "environment prod",
        "rollout.steps": "environment prod",
    }


def test_null_in_a_later_layer_takes_a_bound_away() -> None:
    layers = [("a", {"resources": {"memory": "2Gi"}}), ("b", {"resources": {"memory": None}})]
    resolved = resolve(layers, Limits())
    assert resolved.spec.resources.memory is None
    assert resolved.origins["resources.memory"] == "b"


@pytest.mark.parametrize(
    ("layer", "says", "hint"),
    [
        ({"replica": 2}, "replica is not a known field", "Did you mean 'replicas'?"),
        ({"rollout": {"step": [100]}}, "rollout.step is not a known field", "'steps'"),
        (
            {"replicas": "many"},
            "replicas should be a whole number, not 'many'",
            "The number of replicas",
        ),
        ({"replicas": 0}, "replicas should be at least 1, not 0", "The number of replicas"),
        ({"rollout": {"steps": [10, 50]}}, "last step of 100, not [10, 50]", "percent"),
        ({"rollout": {"steps": [50, 10, 100]}}, "should rise", "percent"),
        ({"rollout": {"steps": []}}, "rollout.steps", "percent"),
        ({"rollout": {"ready_timeout": "soon"}}, "'30s', '5m'", "how long".capitalize()),
        ({"rollout": {"drain": -1}}, "rollout.drain should be a duration", "finish its requests"),
        ({"resources": {"memory": "2 potatoes"}}, "'512Mi' or '2Gi'", "Memory of one replica"),
        ({"resources": "lots"}, "resources should be a mapping", "The resources of one replica"),
        ({"runtime": "triton"}, "runtime should be 'mlflow'", "The runtime"),
        ({"batching": {"enabled": "perhaps"}}, "should be true or false", "share a call"),
    ],
)
def test_a_wrong_field_is_named_with_its_layer_and_a_remedy(
    layer: dict[str, Any], says: str, hint: str
) -> None:
    with pytest.raises(SpecInvalid) as caught:
        resolve([("serving.yaml", layer)], Limits())
    assert caught.value.message.startswith("serving.yaml: ")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_all_wrong_fields_are_told_at_once() -> None:
    with pytest.raises(SpecInvalid, match=r"timeout_seconds should.*; replica is not"):
        resolve([("serving.yaml", {"replica": 1, "timeout_seconds": "x"})], Limits())


@pytest.mark.parametrize(
    ("layer", "limits", "says"),
    [
        ({"replicas": 9}, {"replicas": 8}, "replicas is 9, but limits.replicas is 8"),
        ({"resources": {"memory": "8Gi"}}, {"memory": "4Gi"}, "is 8Gi, but limits.memory is 4Gi"),
        ({"resources": {"cpu": 2.5}}, {"cpu": 2}, "resources.cpu is 2.5, but limits.cpu is 2"),
        ({"max_body": "32Mi"}, {"max_body": "16Mi"}, "is 32Mi, but limits.max_body is 16Mi"),
        ({"timeout_seconds": "2m"}, {"timeout_seconds": 60}, "is 2m, but limits.timeout_seconds"),
        ({"rollout": {"ready_timeout": "2h"}}, {}, "is 2h, but limits.ready_timeout is 1h"),
        ({"runtime": "seldon"}, {"runtimes": ["mlflow"]}, "limits.runtimes allows mlflow"),
    ],
)
def test_no_version_passes_an_operators_limit(
    layer: dict[str, Any], limits: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecInvalid) as caught:
        resolve([("serving.yaml", layer)], Limits.model_validate(limits))
    assert says in caught.value.message
    assert caught.value.message.startswith("serving.yaml: ")
    assert "platform.yaml" in caught.value.hint
    assert not caught.value.transient


@pytest.mark.parametrize("layer", [{}, {"resources": {"memory": None}}])
def test_asking_for_no_bound_does_not_pass_a_limit(layer: dict[str, Any]) -> None:
    resolved = resolve([("serving.yaml", layer)], Limits(memory=4 * GI))
    assert resolved.spec.resources.memory == 4 * GI
    assert resolved.origins["resources.memory"] == "limits"


def test_a_serving_file_is_read_from_text() -> None:
    text = b"replicas: 2\nresources:\n  memory: 2Gi\nbatching: {enabled: off}\n"
    layer = parse_serving_file(text)
    spec = resolve([("serving.yaml", layer)], Limits()).spec
    assert (spec.replicas, spec.resources.memory, spec.batching.enabled) == (2, 2 * GI, False)
    assert parse_serving_file(b"") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"replicas: [1", "serving.yaml, line 1"),
        (b"- replicas", "line 1: should be a mapping"),
        (b"replicas: 1\nreplicas: 2", "line 2: 'replicas' is there twice"),
        (b"rollout: &a {drain: 1}\nbatching: *a", "line 2: anchors and aliases"),
        (b"replicas: !!python/object/apply:os.getcwd []", "tag"),
        (b"timeout_seconds: .inf", "not a finite number"),
        (b"\xff\xfe", "UTF-8"),
        (b"replicas: \x00", "not YAML"),
        (b"1: 2", "should be text"),
        (b"[" * 20000, "cannot be read"),
        (b"replicas: many", "replicas should be a whole number"),
    ],
)
def test_a_hostile_serving_file_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(SpecInvalid, match=says.replace("*", r"\*")):
        parse_serving_file(text)


def test_the_digest_does_not_depend_on_spelling_order_or_defaults() -> None:
    one = resolve([("a", {"replicas": 2, "timeout_seconds": "2m"})], Limits()).spec
    other = resolve(
        [("a", {"timeout_seconds": 120}), ("b", {"replicas": 2, "runtime": "mlflow"})], Limits()
    ).spec
    assert spec_digest(one) == spec_digest(other)
    assert spec_digest(one) != spec_digest(ServingSpec())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("200ms", 0.2),
        ("2.5s", 2.5),
        ("1d", 86400),
        ("0", 0),
        ("7", 7),
        (" 5m ", 300),
        (12, 12),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "5 m", "5x", "-5m", -1, True, None, float("inf"), "1e3"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="should be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2Gi", 2 * GI),
        ("512Mi", 512 * 1024**2),
        ("1.5Gi", 3 * GI // 2),
        ("1G", 10**9),
        ("100k", 100_000),
        ("1024", 1024),
        (1024, 1024),
        ("1500m", 2),
        ("0", 0),
    ],
)
def test_a_quantity_is_read(text: object, count: int) -> None:
    assert parse_quantity(text) == count


@pytest.mark.parametrize("text", ["", "Gi", "2 Gi", "2GB", "2gi", "-1", -1, True, None, "1K"])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="amount of memory"):
        parse_quantity(text)


def test_cores_are_read() -> None:
    assert (parse_cpu("500m"), parse_cpu(2), parse_cpu("0.5")) == (0.5, 2, 0.5)


@given(st.integers(0, 10**12))
def test_a_quantity_survives_being_written(count: int) -> None:
    assert parse_quantity(format_quantity(count)) == count


@given(st.integers(0, 10**10))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)


steps = st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda s: [*sorted(s), 100])
layers = st.fixed_dictionaries(
    {},
    optional={
        "runtime": st.sampled_from(["mlflow", "seldon", "queue"]),
        "replicas": st.integers(1, 20),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.none() | st.sampled_from(["500m", 1, 2.5]),
                "memory": st.none() | st.sampled_from(["512Mi", "2Gi", 10**9]),
            },
        ),
        "rollout": st.fixed_dictionaries(
            {}, optional={"steps": steps, "drain": st.sampled_from(["1s", 7])}
        ),
        "timeout_seconds": st.sampled_from([1, "2m"]),
    },
)


@given(st.lists(layers, max_size=4))
def test_resolving_what_was_resolved_changes_nothing(stack: list[dict[str, Any]]) -> None:
    named = [(f"layer {index}", layer) for index, layer in enumerate(stack)]
    resolved = resolve(named, NO_LIMITS)
    again = resolve([("all", resolved.spec.model_dump(mode="json"))], NO_LIMITS)
    assert again.spec == resolved.spec
    assert spec_digest(again.spec) == spec_digest(resolved.spec)
    assert again.origins.keys() == resolved.origins.keys()


@given(layers, layers)
def test_equal_digests_mean_equal_specs(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = (resolve([("a", layer)], NO_LIMITS).spec for layer in (one, other))
    assert (spec_digest(first) == spec_digest(second)) == (first == second)


@given(st.lists(layers, max_size=3))
def test_whatever_is_asked_for_a_limit_holds(stack: list[dict[str, Any]]) -> None:
    limits = Limits(memory=GI, cpu=2, replicas=8, runtimes=["mlflow"])
    try:
        spec = resolve([("a", layer) for layer in stack], limits).spec
    except SpecInvalid:
        return
    assert spec.resources.memory is not None
    assert spec.resources.memory <= GI
    assert spec.resources.cpu is not None
    assert spec.resources.cpu <= 2
    assert spec.replicas <= 8
    assert spec.runtime == "mlflow"
