"""The path of a write: what each step hands to the next, and what holds what back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.kubernetes.contexts import context_of
from support.kubernetes.noted import LABELS

from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.apply.decide import Accepted, Action, Decision, to_prune
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.pipeline import Pipeline
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import (
    APPLIED,
    PREDICTOR,
    Key,
    LiveObject,
    Owner,
    Packer,
    digest_of,
)
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.errors import AdmissionRefused, ApiError, ForeignObject
from deployer.targets.kubernetes.context import LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePrepared
from deployer.targets.kubernetes.render.deployment import Rendered

OWNER = Owner("platform-1", "angler-prod", "uid-owner")
RECORD = Record("angler-prod", "angler", "prod")


def predictor(number: int) -> Predictor:
    version = VersionId("angler", number, 1)
    return Predictor(f"angler-prod-v{number}", version, Role.CHAMPION, str(number), "s", {})


def wanted(**weights: int) -> Deployment:
    predictors = tuple(
        WeightedPredictor(predictor(int(name.removeprefix("v"))), weight)
        for name, weight in weights.items()
    )
    return Deployment("angler-prod", "angler", "prod", predictors)


def manifest(name: str, of: str = "", kind: str = "Service") -> dict[str, Any]:
    labels = {**LABELS, **({PREDICTOR: f"angler-prod-{of}"} if of else {})}
    version, pods = "v1", {}
    if kind == "Deployment":
        pod = {"containers": [{"name": "server", "image": "image:1"}]}
        version, pods = "apps/v1", {"template": {"spec": pod}}
    meta = {"name": name, "namespace": "prod", "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": {"a": 1, **pods}}


def live(one: dict[str, Any], **spec: Any) -> LiveObject:
    """An object as the API server shows it once the manifest was applied; `spec` is drift."""
    meta = {
        **one["metadata"],
        "uid": f"uid-{one['metadata']['name']}",
        "resourceVersion": "7",
        "annotations": {APPLIED: digest_of(one)},
        "ownerReferences": [{"uid": OWNER.uid}],
    }
    body = {**one, "metadata": meta, "spec": {**one["spec"], **spec}}
    return Packer(kinds.kind_of(one)).pack(body)


@dataclass
class Cluster:
    """What is rendered for a cluster, what it holds, and each step that was taken."""

    manifests: Sequence[dict[str, Any]] = ()
    objects: tuple[LiveObject, ...] = ()
    record: Record = RECORD
    missing: tuple[Predictor, ...] = ()
    refuses: Callable[[str], ApiError | None] = lambda _: None
    took: list[str] = field(default_factory=list)
    refused: dict[str, ImagePrepared] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    platform: str = "platform-1"
    origin: str = "origin"
    accepted: dict[Key, Accepted] = field(default_factory=dict)

    # The renderer.
    def of(self, *parts: Any) -> Any:
        if len(parts) == 2:  # the cache: namespace and deployment
            return self.objects
        deployment, there, image_of = parts
        for weighted in deployment.predictors:
            image_of(weighted.predictor, there.of(weighted.predictor.name))
        self.took.append("render")
        return Rendered(tuple(self.manifests), frozenset(), self.missing)

    # The executor.
    def execute(
        self, decisions: Sequence[Decision], owner: Owner, *, adopt: Collection[str] = ()
    ) -> list[Key]:
        assert (owner, tuple(adopt)) == (OWNER, self.record.adopt)
        for decision in decisions:
            if error := self.refuses(decision.key.name):
                raise error
        due = [each.key for each in decisions if each.act is not Action.UNCHANGED]
        self.took += [f"write {key.name}" for key in due]
        return due

    def prune(
        self, objects: Sequence[LiveObject], keep: Collection[Key], owner: Owner
    ) -> list[Key]:
        gone = [obj.key for obj in to_prune(objects, keep, owner)]
        self.took += [f"delete {key.name}" for key in gone]
        return gone

    def delete(self, obj: LiveObject) -> None:
        self.took.append(f"restart {obj.key.name}")

    # The preparation.
    def ensure(self, one: Predictor) -> ImagePrepared:
        self.took.append(f"image {one.name}")
        return ImagePrepared(Phase.READY, 1.0, "image:1")

    def forget(self, one: Predictor) -> None:
        self.took.append(f"forget {one.name}")

    def accept(self, name: str) -> None:
        self.refused.pop(name, None)

    def refuse(self, name: str, error: Any) -> None:
        self.refused[name] = ImagePrepared(Phase.FAILED, 1.0, error=error)

    # The records.
    def save(self, record: Record) -> None:
        self.took.append("save")
        self.record = record

    def emit_event(self, _: str, reason: str, sentence: str, __: float, *, warning: bool) -> None:
        assert warning
        self.said.append(f"{reason}: {sentence}")

    def there(self) -> LiveDeployment:
        return LiveDeployment(self.record, "prod", OWNER, self.objects)


def pipeline(cluster: Any, unchanged: Unchanged | None = None, **environment: Any) -> Pipeline:
    context = context_of(cache=cluster, records=cluster, **environment)
    notes = unchanged or Unchanged()
    return Pipeline(context, cluster, cluster, cluster, DriftFilter(context), notes)


def test_the_steps_are_taken_in_their_order_and_what_is_not_wanted_goes_last():
    old = live(manifest("old", "v1"))
    cluster = Cluster([manifest("route"), manifest("new", "v2")], (old,))
    pipeline(cluster).apply(wanted(v2=100), cluster.there())
    assert cluster.took == [
        "image angler-prod-v2", "render", "write new", "write route", "delete old",
    ]  # fmt: skip


def test_what_was_as_wanted_is_not_even_rendered_again_until_an_input_or_object_changes():
    one = manifest("one", "v1")
    cluster = Cluster([one], (live(one),))
    made = pipeline(cluster)
    for _ in range(3):
        made.apply(wanted(v1=100), cluster.there())
    assert cluster.took.count("render") == 1
    made.apply(wanted(v1=90, v2=10), cluster.there())
    assert cluster.took.count("render") == 2
    cluster.objects = (live(one, a=9),)
    made.apply(wanted(v1=100), cluster.there())
    assert cluster.took.count("render") == 3
    assert "write one" in cluster.took


@pytest.mark.parametrize(
    "left",
    [
        {"missing": (predictor(2),)},
        {"manifests": [manifest("one", "v1"), manifest("two", "v1")]},
        {"manifests": []},
    ],
    ids=["an image is not built", "an object was written", "an object was deleted"],
)
def test_a_pass_that_had_something_to_do_is_no_evidence_that_all_is_as_wanted(left):
    one = manifest("one", "v1")
    cluster = Cluster(**{"manifests": [one], "objects": (live(one),)} | left)
    made = pipeline(cluster)
    made.apply(wanted(v1=100), cluster.there())
    made.apply(wanted(v1=100), cluster.there())
    assert cluster.took.count("render") == 2


def test_a_new_predictor_that_the_cluster_refuses_holds_nothing_else_back_and_is_told():
    serving = live(manifest("pods", "v1", "Deployment"))
    refusal = AdmissionRefused("No quota is left.")
    cluster = Cluster(
        [manifest("pods", "v1", "Deployment"), manifest("new", "v2"), manifest("route")],
        (serving,),
        refuses=lambda name: refusal if name == "new" else None,
    )
    made = pipeline(cluster)
    made.apply(wanted(v1=100, v2=0), cluster.there())
    assert cluster.took[-1] == "write route"
    assert cluster.refused["angler-prod-v2"].error is refusal
    cluster.refuses = lambda _: None
    made.apply(wanted(v1=100, v2=0), cluster.there())
    assert cluster.took[-1] == "write new"
    assert cluster.refused == {}


def test_a_refused_object_of_a_predictor_with_traffic_breaks_the_pass():
    cluster = Cluster(
        [manifest("one", "v1")], refuses=lambda _: AdmissionRefused("No quota is left.")
    )
    with pytest.raises(AdmissionRefused):
        pipeline(cluster).apply(wanted(v1=100), cluster.there())
    assert cluster.refused == {}


@pytest.mark.parametrize(
    ("drift", "writes", "said"),
    [
        ("correct", ["write one"], ["DriftCorrected: Another writer changed Service/one"]),
        ("report", [], ["Drift: Another writer changed Service/one"]),
        ("ignore", [], []),
    ],
)
def test_drift_is_put_back_or_reported_once_or_left_alone(drift, writes, said):
    cluster = Cluster([manifest("one", "v1")], (live(manifest("one", "v1"), a=9),))
    made = pipeline(cluster, drift=drift)
    made.apply(wanted(v1=100), cluster.there())
    assert [step for step in cluster.took if step.startswith("write")] == writes
    assert [one.partition(": spec")[0] for one in cluster.said] == said
    if drift != "correct":
        made.apply(wanted(v1=100), cluster.there())
        assert cluster.took.count("render") == 2, "drift that is left is no state as wanted"
        assert len(cluster.said) == len(said)


def test_a_word_to_adopt_is_kept_until_nothing_foreign_stands_in_the_way():
    foreign = replace(live(manifest("one")), platform="", applied="")
    cluster = Cluster([manifest("one")], (foreign,), replace(RECORD, adopt=(foreign.uid,)))
    cluster.missing = (predictor(2),)
    pipeline(cluster).apply(wanted(v1=100), cluster.there())
    assert "write one" in cluster.took
    assert cluster.record.adopt == (foreign.uid,)
    cluster.missing = ()
    pipeline(cluster).apply(wanted(v1=100), cluster.there())
    assert cluster.took[-1] == "save"
    assert cluster.record.adopt == ()


def test_a_foreign_object_is_told_with_the_command_that_adopts_it():
    cluster = Cluster([manifest("one")], refuses=lambda _: ForeignObject("It is somebody else's."))
    with pytest.raises(ForeignObject) as caught:
        pipeline(cluster).apply(wanted(v1=100), cluster.there())
    assert caught.value.message == "It is somebody else's."
    assert caught.value.hint.endswith("schnitzel deploy apply angler -e prod --adopt")


def test_a_restart_deletes_what_owns_the_pods_before_anything_else():
    pods = manifest("pods", "v1", "Deployment")
    cluster = Cluster([pods], (live(pods), live(manifest("service", "v1"))))
    again = replace(wanted(v1=100), restart=frozenset({"angler-prod-v1"}))
    pipeline(cluster).apply(again, cluster.there())
    assert cluster.took[:2] == ["forget angler-prod-v1", "restart pods"]


def test_a_comparison_for_a_preview_decides_as_an_apply_does_and_does_nothing():
    one = manifest("one", "v1")
    cluster = Cluster([one, manifest("two", "v1")], (live(one), live(manifest("old", "v1"))))
    compared = pipeline(cluster).compare(wanted(v1=100), cluster.there(), lambda *_: "unbuilt")
    assert [(each.key.name, each.act) for each in compared.decisions] == [
        ("one", Action.UNCHANGED), ("two", Action.CREATE),
    ]  # fmt: skip
    assert {key.name for key in compared.keep} == {"one", "two"}
    assert cluster.took == ["render"]


def test_what_the_server_keeps_otherwise_than_it_was_sent_counts_as_applied():
    one = manifest("one", "v1")
    seen = live(one, a=9)
    cluster = Cluster(
        [one], (seen,), accepted={seen.key: Accepted(seen.applied, frozenset({"spec.a"}))}
    )
    compared = pipeline(cluster).compare(wanted(v1=100), cluster.there(), lambda *_: "")
    assert [each.act for each in compared.decisions] == [Action.UNCHANGED]
    cluster.accepted = {seen.key: Accepted("another manifest", frozenset({"spec.a"}))}
    compared = pipeline(cluster).compare(wanted(v1=100), cluster.there(), lambda *_: "")
    assert [each.act for each in compared.decisions] == [Action.UPDATE]
