"""A release that adds a field rolls nothing out: the digest of what serves stays the same."""

import inspect
from typing import Any

from hypothesis import given, strategies as st
from pydantic import BaseModel, Field

from deployer.desired.wanted import predictor_digest
from deployer.schema.base import Frozen
from deployer.spec import model as specmodel, pods
from deployer.spec.model import Autoscaling, Resources, Rollout, ServingSpec
from deployer.spec.pods import Kubernetes, Probes, SecretKey, Toleration
from deployer.spec.resolve import Limits, resolve, spec_digest
from deployer.state.predictor import Role
from deployer.state.registry import VersionId


class LaterResources(Resources):
    disk: int | None = None


class LaterAutoscaling(Autoscaling):
    memory_percent: int | None = None


class LaterToleration(Toleration):
    reason: str = ""


class LaterProbes(Probes):
    period: int = 5


class LaterKubernetes(Kubernetes):
    tolerations: list[LaterToleration] = Field(default=[])  # type: ignore[assignment]
    probes: LaterProbes = LaterProbes()
    priority_class: str | None = None
    sidecars: list[str] = Field(default=[])


class Canary(Frozen):
    share: int = 5


class LaterRollout(Rollout):
    canary: Canary = Canary()


class LaterSpec(ServingSpec):
    """The serving spec of a later release, with a field more in every section."""

    resources: LaterResources = LaterResources()
    autoscaling: LaterAutoscaling | None = None
    rollout: LaterRollout = LaterRollout()
    analysis: dict[str, int] = Field(default={})
    kubernetes: LaterKubernetes = LaterKubernetes()
    explain: bool = False
    metadata: dict[str, str] = Field(default={})


FULL: dict[str, Any] = {
    "runtime": "mlflow",
    "autoscaling": {"min": 2, "max": 6, "cpu_percent": 60},
    "resources": {"cpu": "500m", "memory": "2Gi", "gpu": 1},
    "rollout": {
        "steps": [10, 100],
        "step_seconds": "1m",
        "ready_timeout": "10m",
        "drain": 7,
        "example": "skip",
    },
    "batching": {"enabled": False, "max_rows": 8},
    "timeout_seconds": "2m",
    "max_body": "1Mi",
    "image": "registry.example/team/model:1",
    "kubernetes": {
        "node_selector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "spread": "zone",
        "disruption_budget": {"max_unavailable": 1},
        "env": {"A": "1", "B": {"secret": "s", "key": "k"}},
        "grace": "2m",
        "annotations": {"a": "b"},
        "pull_secrets": ["p"],
        "service_account": "sa",
        "probes": {"startup_seconds": "20m"},
    },
}

DEFAULTS = {
    "autoscaling": None,
    "batching.enabled": True,
    "batching.max_rows": 256,
    "image": None,
    "kubernetes.annotations": {},
    "kubernetes.disruption_budget": None,
    "kubernetes.env": {},
    "kubernetes.grace": None,
    "kubernetes.node_selector": {},
    "kubernetes.probes.startup_seconds": None,
    "kubernetes.pull_secrets": [],
    "kubernetes.service_account": None,
    "kubernetes.spread": None,
    "kubernetes.tolerations": [],
    "max_body": 16 * 1024**2,
    "replicas": 1,
    "resources.cpu": None,
    "resources.gpu": 0,
    "resources.memory": None,
    "rollout.drain": 5,
    "rollout.example": "required",
    "rollout.ready_timeout": 300,
    "rollout.step_seconds": 0,
    "rollout.steps": [100],
    "runtime": "mlflow",
    "timeout_seconds": 60,
}
"""Of the first release with Kubernetes. A line may be added here, and none changed."""


def test_published_digests_never_change() -> None:
    # Another digest is another predictor: a release that changes these restarts every model.
    known = {
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": {},
        "71af1be4b0ac3814955218696a504a5d9771aa341a87dcec1a59e4d479f95f11": {
            "replicas": 2,
            "resources": {"memory": "2Gi"},
        },
        "8cf9450f1183f11ac3fc37569beb579c1053b4d8cf211d3b95d1bff9d0533bfd": FULL,
    }
    for digest, fields in known.items():
        assert spec_digest(ServingSpec.model_validate(fields)) == digest


def test_a_default_never_changes() -> None:
    # It would change what a file means that says nothing, and the digest of one that says the same.
    now = ServingSpec().model_dump(mode="json")
    for name, default in DEFAULTS.items():
        value: Any = now
        for part in name.split("."):
            value = value[part]
        assert value == default, name


def test_every_field_has_a_default_or_belongs_to_a_section_that_has() -> None:
    required = {
        f"{model.__name__}.{name}"
        for module in (specmodel, pods)
        for _, model in inspect.getmembers(module, inspect.isclass)
        if issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    assert required == {"Autoscaling.max", "SecretKey.secret", "SecretKey.key"}
    assert SecretKey.model_fields.keys() == {"secret", "key"}


def test_a_release_that_adds_fields_rolls_nothing_out() -> None:
    version = VersionId("angler", 3, 1700000000000, "m-1")
    for fields in ({}, {"replicas": 2}, FULL):
        before = ServingSpec.model_validate(fields)
        after = LaterSpec.model_validate(fields)
        assert spec_digest(before) == spec_digest(after)
        assert predictor_digest(version, Role.CHAMPION, spec_digest(before)) == (
            predictor_digest(version, Role.CHAMPION, spec_digest(after))
        )


def test_a_record_of_an_earlier_release_is_read_with_the_new_fields_defaults() -> None:
    recorded = {  # as `Predictor.spec` was written before there was Kubernetes
        "runtime": "mlflow",
        "replicas": 2,
        "resources": {"cpu": None, "memory": 2147483648},
        "rollout": {
            "steps": [100],
            "step_seconds": 0.0,
            "ready_timeout": 300.0,
            "drain": 5.0,
            "example": "required",
        },
        "batching": {"enabled": True, "max_rows": 256},
        "timeout_seconds": 60.0,
        "max_body": 16777216,
    }
    fresh = resolve([("serving.yaml", {"replicas": 2, "resources": {"memory": "2Gi"}})], Limits())
    assert ServingSpec.model_validate(recorded) == fresh.spec
    assert spec_digest(ServingSpec.model_validate(recorded)) == spec_digest(fresh.spec)


def test_a_field_that_says_how_a_version_gets_its_traffic_counts_only_if_it_always_has() -> None:
    """A threshold that is tuned is no reason to roll out what serves."""
    tuned = LaterSpec.model_validate({"rollout": {"canary": {"share": 20}}, "analysis": {"p": 1}})
    assert spec_digest(tuned) == spec_digest(ServingSpec())
    for name, value in FULL["rollout"].items():
        one = ServingSpec.model_validate({"rollout": {name: value}})
        assert spec_digest(one) != spec_digest(ServingSpec()), name


some = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in FULL.items()})


@given(some)
def test_whatever_a_file_says_a_new_field_changes_no_digest(fields: dict[str, Any]) -> None:
    assert spec_digest(ServingSpec.model_validate(fields)) == (
        spec_digest(LaterSpec.model_validate(fields))
    )


@given(some)
def test_saying_a_default_aloud_changes_no_digest(fields: dict[str, Any]) -> None:
    spec = ServingSpec.model_validate(fields)
    assert spec_digest(ServingSpec.model_validate(spec.model_dump())) == spec_digest(spec)
