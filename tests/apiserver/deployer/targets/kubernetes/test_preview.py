"""What a person sees and confirms of a deployment's objects, on a real API server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.kubernetes.stage import ID, MODEL, NAME, PLATFORM, Stage, staged
from support.run.wait import wait_for
from support.systems.cluster import Cluster

from deployer.artifacts.cache import Artifacts
from deployer.plan.preview import Act, ObjectChange
from deployer.redact import GONE
from deployer.state.record import Record
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.cache.objects import Owner
from deployer.targets.kubernetes.client.errors import ForeignObject
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.manifests import Manifests
from deployer.targets.kubernetes.wiring import assemble


@pytest.fixture
def stage(
    real: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    with staged(real, namespace, tmp_path, monkeypatch) as found:
        yield found


def shown(found: tuple[ObjectChange, ...]) -> dict[str, str]:
    return {f"{each.kind}/{each.name}": str(each.act) for each in found}


ALL = {
    f"ConfigMap/{NAME}": "create",
    f"Deployment/{NAME}": "create",
    f"Service/{NAME}": "create",
    f"HTTPRoute/{ID}": "create",
}


def test_what_would_be_made_is_shown_and_once_it_is_there_nothing_is_and_the_digest_stays(
    stage: Stage,
):
    deployment = stage.deployment()
    before = stage.assembled.target.preview(deployment)
    assert shown(before.objects) == ALL
    assert before.unknown == ()
    assert all(each.fields for each in before.objects)
    stage.settle(deployment)
    after = stage.assembled.target.preview(deployment)
    assert after.objects == ()
    assert after.digest == before.digest
    gone = replace(deployment, predictors=())
    assert set(shown(stage.changes(gone)).values()) == {"delete"}
    assert set(shown(stage.changes(gone))) == set(ALL)


def test_a_field_changed_by_hand_is_shown_masked_and_no_part_of_what_was_reviewed(stage: Stage):
    deployment = stage.deployment()
    stage.settle(deployment)
    reviewed = stage.assembled.target.preview(deployment).digest
    own = {"name": "SITE", "value": "https://bob:hunter2@two.example"}
    theirs = {"name": "API_TOKEN", "value": "hunter2"}
    containers = [{"name": "server", "image": "registry.example/other:6", "env": [own, theirs]}]
    stage.patch("deployment", NAME, {"spec": {"template": {"spec": {"containers": containers}}}})
    live = json.dumps({"predictor": NAME, "api_token": "hunter2"})
    stage.patch("configmap", NAME, {"data": {"predictor.json": live}})
    wait_for(lambda: len(stage.changes(deployment)) == 2, "both changes to be seen", 20)
    found = stage.assembled.target.preview(deployment)
    assert shown(found.objects) == {f"ConfigMap/{NAME}": "update", f"Deployment/{NAME}": "update"}
    assert {each.why for each in found.objects} == {"it has drifted; the drift is corrected"}
    fields = {field.path: (field.was, field.wanted) for o in found.objects for field in o.fields}
    server = "spec.template.spec.containers[name=server]"
    assert fields[f"{server}.env[name=SITE].value"] == (
        "https://[redacted]@two.example", "https://one.example",
    )  # fmt: skip
    assert fields[f"{server}.image"] == ("registry.example/other:6", "registry.example/none:1")
    assert fields["data[predictor.json].api_token"] == (GONE, None)
    assert "hunter2" not in str(found)
    assert found.digest != reviewed
    stage.settle(deployment)
    assert stage.assembled.target.preview(deployment).digest == reviewed


def test_drift_that_is_only_reported_is_shown_as_left_and_drift_that_is_ignored_is_not(
    real: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with staged(real, namespace, tmp_path, monkeypatch, drift="report") as stage:
        deployment = stage.deployment()
        stage.settle(deployment)
        reviewed = stage.assembled.target.preview(deployment).digest
        stage.patch("deployment", NAME, {"spec": {"replicas": 0}})
        wait_for(lambda: stage.changes(deployment), "the drift to be seen", 20)
        found = stage.assembled.target.preview(deployment)
        [left] = found.objects
        assert (left.act, found.pending) == (Act.LEFT, False)
        assert [(f.path, f.was, f.wanted) for f in left.fields] == [("spec.replicas", 0, 1)]
        assert found.digest != reviewed
    with staged(real, namespace, tmp_path, monkeypatch, drift="ignore") as stage:
        found = stage.assembled.target.preview(deployment)
        assert (found.objects, found.digest) == ((), reviewed)


def test_a_spec_another_server_or_another_gateway_is_another_digest(stage: Stage):
    first = stage.assembled.target.preview(stage.deployment()).digest
    assert stage.assembled.target.preview(stage.deployment(replicas=2)).digest != first
    gateway = stage.settings.clusters["tests"].gateway.model_copy(update={"name": "other"})
    moved = stage.settings.clusters["tests"].model_copy(update={"gateway": gateway})
    stage.settings.clusters["tests"] = moved
    other = assemble(
        "tests", stage.settings, Artifacts(stage.settings.cache, "http://127.0.0.1:9"),
        "http://127.0.0.1:9", lambda _: None, time.time,
        Records(Database(stage.settings.home / "other.db")),
    )  # fmt: skip
    other.cache.start()
    wait_for(lambda: other.cache.wait(0.1), "the listings", 30)
    try:
        assert other.target.preview(stage.deployment()).digest != first
    finally:
        other.target.close()


def test_an_image_that_is_not_built_is_said_and_the_digest_stays_once_it_is(stage: Stage):
    plain = stage.deployment(image=None)
    [weighted] = plain.predictors
    unpinned = replace(
        plain, predictors=(replace(weighted, predictor=replace(weighted.predictor, artifact="")),)
    )
    before = stage.assembled.target.preview(unpinned)
    assert shown(before.objects) == ALL
    assert [sentence.partition(" of ")[0] for sentence in before.unknown] == [
        "The image", "The files",
    ]  # fmt: skip
    records = stage.assembled.records
    records.save(Record(ID, MODEL, "prod").with_champion(weighted.predictor))
    made = wait_for(lambda: records.object(ID), "its ModelDeployment", 10)
    charts = Manifests(Charts(), stage.settings.clusters["tests"], PLATFORM, "http://127.0.0.1:9")
    owner = Owner(PLATFORM, ID, made.uid)
    built = charts.predictor(plain, weighted.predictor, stage.namespace, "registry/built:1", owner)
    stage.real.apply(*built, namespace=stage.namespace)
    wait_for(lambda: f"Deployment/{NAME}" not in shown(stage.changes(plain)), "its objects", 20)
    after = stage.assembled.target.preview(plain)
    assert (after.unknown, after.digest) == ((), before.digest)


def test_somebody_elses_object_is_a_conflict_until_a_person_has_that_very_one_taken_over(
    stage: Stage,
):
    deployment = stage.deployment()
    theirs = stage.foreign_object("ConfigMap", NAME, data={"theirs": "x", "password": "hunter2"})
    before = stage.assembled.target.preview(deployment)
    [stranger] = before.foreign
    assert (stranger.name, stranger.uid) == (NAME, theirs["metadata"]["uid"])
    assert "was not made by Schnitzel" in stranger.why
    assert "data[predictor.json]" in {field.path for field in stranger.fields}
    assert "hunter2" not in str(before)
    for adopt in ((), ("another-uid",)):
        with pytest.raises(ForeignObject) as caught:
            stage.bring(deployment, adopt)
        assert caught.value.reason == "Conflict"
        assert caught.value.hint.endswith("schnitzel deploy apply 'fraud score' -e prod --adopt")
    assert stage.real.get("configmap", NAME, "-n", stage.namespace) == theirs
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "spec": {"hostnames": ["a.example"]}}
    other = stage.foreign_object("HTTPRoute", ID, **route)
    with pytest.raises(ForeignObject, match=f"HTTPRoute/{ID}"):
        stage.bring(deployment, (stranger.uid,))
    taken = stage.real.get("configmap", NAME, "-n", stage.namespace)
    assert taken["metadata"]["uid"] == stranger.uid
    assert taken["metadata"]["labels"]["schnitzel.dev/deployment"] == ID
    assert taken["data"]["theirs"] == "x"
    assert stage.real.get("httproute", ID, "-n", stage.namespace)["spec"] == other["spec"]
    record = stage.assembled.records.load(ID)
    assert record
    assert record.adopt == (stranger.uid,), "the word is kept until the pass gets through"
    stage.real.kubectl("-n", stage.namespace, "delete", "httproute", ID)
    stage.settle(deployment)
    spent = stage.assembled.records.load(ID)
    assert spent
    assert spent.adopt == ()
    whole = stage.real.get(MODEL_DEPLOYMENT.resource, ID, "-n", stage.namespace)
    assert "adopt" not in whole["spec"]["record"]


def test_what_the_server_would_refuse_is_said_before_it_is_applied(stage: Stage):
    stage.real.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
         "spec": {"hard": {"services": "0"}}},
        namespace=stage.namespace,
    )  # fmt: skip

    def refused() -> ObjectChange | None:
        found = stage.changes(stage.deployment())
        return next((each for each in found if each.act is Act.REFUSED), None)

    found = wait_for(refused, "the quota to count", 20)
    assert found.kind == "Service"
    assert "quota" in found.why
