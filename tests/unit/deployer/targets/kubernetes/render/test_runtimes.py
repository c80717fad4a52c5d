"""What a runtime needs where it is to serve, and what is rendered for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts.cache import Artifacts
from deployer.artifacts.metadata import SmallFiles
from deployer.config.clusters import Cluster
from deployer.errors import SpecInvalid
from deployer.python_env.cache import Environments
from deployer.spec.limits import Limits
from deployer.spec.model import ServingSpec
from deployer.spec.resolve import resolve
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import Owner
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.images.builds import ImageBuilds
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.manifests import Manifests
from deployer.targets.local import preparation

FRONT = "registry.example/team/model-server:1"
TFSERVING = "registry.example/tensorflow/serving:2.19.1"
SETTINGS: dict[str, Any] = {
    "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
    "server_image": FRONT,
    "tfserving_image": TFSERVING,
    "seldon": {},
}


def predictor(**spec: Any) -> Predictor:
    whole = ServingSpec.model_validate({"runtime": "tfserving"} | spec)
    version = VersionId("angler", 3, 1)
    uri = "mlflow-artifacts:/1/models/m-1/artifacts"
    return Predictor("angler-prod-v3-1a2b3c4d", version, Role.CHAMPION, "1a", uri, whole)


def rendered(one: Predictor, image: str = FRONT) -> dict[str, dict[str, Any]]:
    manifests = Manifests(Charts(), Cluster.model_validate(SETTINGS), "p1", "http://mlflow:5000")
    deployment = Deployment("angler-prod", "angler", "prod", (WeightedPredictor(one, 100),))
    owner = Owner("p1", "angler-prod", "uid")
    found = manifests.predictor(deployment, one, "prod", image, owner)
    return {each["kind"]: each for each in found}


@pytest.fixture
def on_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make(**changed: Any) -> ImagePreparation:
        cluster = Cluster.model_validate(SETTINGS | changed)
        nobody: Any = None  # nothing of it may be asked
        artifacts: Artifacts = nobody
        client: Client = nobody
        files = SmallFiles(artifacts, tmp_path)
        builds = ImageBuilds(client, None, 1)
        monkeypatch.setattr(files, "ensure", lambda *_: pytest.fail("its files were asked for"))
        return ImagePreparation(cluster, files, builds, lambda: 1.0)

    return make


def test_tensorflow_serving_needs_no_environment(on_cluster):
    prepared = on_cluster().ensure(predictor())
    assert (prepared.phase, prepared.image) == (Phase.READY, FRONT)


def test_a_cluster_without_its_image_says_so_and_what_to_do(on_cluster):
    prepared = on_cluster(tfserving_image=None).ensure(predictor())
    assert prepared.phase is Phase.FAILED
    assert prepared.error.reason == "RuntimeUnavailable"
    assert "tfserving_image" in prepared.error.hint
    assert not prepared.error.transient


def test_an_image_of_the_version_s_own_takes_its_place(on_cluster):
    own = "registry.example/team-a/serving:2"
    assert on_cluster(tfserving_image=None).ensure(predictor(image=own)).phase is Phase.READY
    [sidecar] = [
        each
        for each in rendered(predictor(image=own))["Deployment"]["spec"]["template"]["spec"][
            "initContainers"
        ]
        if each["name"] == "tfserving"
    ]
    assert sidecar["image"] == own


@pytest.mark.parametrize(
    ("spec", "settings", "says"),
    [
        ({"runtime": "seldon"}, {"seldon": None}, "clusters.NAME.seldon in platform.yaml"),
        (
            {"runtime": "seldon", "seldon": {"shape": "microservice"}},
            {},
            "seldon.microservice_image",
        ),
        (
            {"runtime": "seldon", "seldon": {"shape": "named"}},
            {"trust_bundle": {"config_map": "ca"}},
            "another shape",
        ),
    ],
)
def test_what_a_cluster_cannot_serve_with_is_told_of(on_cluster, spec, settings, says):
    prepared = on_cluster(**settings).ensure(predictor(**spec))
    assert prepared.phase is Phase.FAILED
    assert prepared.error.reason == "RuntimeUnavailable"
    assert says in prepared.error.hint


def test_seldon_with_tensorflow_serving_needs_no_environment_either(on_cluster):
    prepared = on_cluster().ensure(predictor(runtime="seldon", seldon={"shape": "tensorflow"}))
    assert (prepared.phase, prepared.image) == (Phase.READY, FRONT)


def test_this_machine_serves_with_our_own_server_alone(tmp_path: Path):
    nobody: Any = None
    artifacts: Artifacts = nobody
    made = preparation.LocalPreparation(artifacts, Environments(tmp_path), lambda: 1.0)
    prepared = made.ensure(predictor())
    assert prepared.phase is Phase.FAILED
    assert prepared.error
    assert prepared.error.reason == "RuntimeUnavailable"


def test_it_is_rendered_as_three_objects_under_the_same_names():
    found = rendered(predictor(tfserving={"labels": ["stable"]}, batching={"max_rows": 64}))
    assert set(found) == {"ConfigMap", "Deployment", "Service"}
    assert {each["metadata"]["name"] for each in found.values()} == {"angler-prod-v3-1a2b3c4d"}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    images = {each["name"]: each["image"] for each in pod["initContainers"] + pod["containers"]}
    assert images == {"artifact": FRONT, "tfserving": TFSERVING, "server": FRONT}
    files = "".join(found["ConfigMap"]["data"].values())
    assert "stable" in files
    assert found["Deployment"]["metadata"]["annotations"]["schnitzel.dev/image"] == FRONT


@pytest.mark.parametrize(
    ("shape", "containers"),
    [
        ("server", {"model": "registry.example/team/environments:1"}),
        ("tensorflow", {"model": TFSERVING, "oip": FRONT}),
    ],
)
def test_seldon_gets_one_resource_for_each_version(shape: str, containers: dict[str, str]):
    one = predictor(runtime="seldon", seldon={"shape": shape})
    image = FRONT if shape == "tensorflow" else "registry.example/team/environments:1"
    found = rendered(one, image)
    assert set(found) == {"ConfigMap", "SeldonDeployment", "Service"}
    assert {each["metadata"]["name"] for each in found.values()} == {"angler-prod-v3-1a2b3c4d"}
    made = found["SeldonDeployment"]
    assert made["metadata"]["annotations"]["schnitzel.dev/image"] == image
    [inner] = made["spec"]["predictors"]
    spec = inner["componentSpecs"][0]["spec"]
    assert {each["name"]: each["image"] for each in spec["containers"]} == containers
    assert inner["replicas"] == 1


@pytest.mark.parametrize("name", ["SELDON_X", "PREDICTOR_ID", "MLSERVER_MODEL_URI"])
def test_a_variable_that_is_the_operators_is_refused(name):
    layer = {"runtime": "seldon", "kubernetes": {"env": {name: "1"}}}
    with pytest.raises(SpecInvalid, match=f"{name} in kubernetes.env"):
        resolve([("serving.yaml", layer)], Limits())
    resolve([("serving.yaml", layer | {"runtime": "mlflow"})], Limits())


def test_what_only_seldons_operator_scales_is_refused():
    layer = {"runtime": "seldon", "autoscaling": {"max": 3}, "resources": {"cpu": 1}}
    with pytest.raises(SpecInvalid, match="not for the runtime seldon"):
        resolve([("serving.yaml", layer)], Limits())
