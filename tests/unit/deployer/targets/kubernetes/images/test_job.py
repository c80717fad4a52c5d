"""The manifests of builds and removals: what they may, and whose their images are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.kubernetes.build_place import PLACE

from deployer.artifacts.requirements import EnvironmentRequest, Wheel
from deployer.targets.kubernetes.images.job import job, removal_job, request_map
from deployer.targets.kubernetes.images.site import image_key

REQUEST = EnvironmentRequest("3.11.2", ("six==1.17.0",))
DIGESTS = [f"sha256:{digit * 64}" for digit in "ab"]


@pytest.mark.parametrize("made", [job(REQUEST, PLACE), removal_job("collect-1", DIGESTS, PLACE)])
def test_a_job_runs_as_nobody_with_the_login_of_the_registry(made):
    pod = made["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = pod["containers"]
    closed = container["securityContext"]
    assert (closed["readOnlyRootFilesystem"], closed["capabilities"]) == (True, {"drop": ["ALL"]})
    assert {"name": "DOCKER_CONFIG", "value": "/etc/registry"} in container["env"]
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}
    assert made["spec"]["backoffLimit"] == 0
    labels = made["metadata"]["labels"]
    assert labels["schnitzel.dev/platform"] == "team1"
    assert labels["schnitzel.dev/cluster"] == "main"


WHEEL = Wheel("code/pkg-0.1-py3-none-any.whl", "pkg-0.1-py3-none-any.whl", "ab" * 32)
CARRIED = replace(REQUEST, requirements=("./wheels/pkg-0.1-py3-none-any.whl",), wheels=(WHEEL,))
FETCHING = replace(
    PLACE,
    server="r.example/as-pulled/server@sha256:2",
    tracking_uri="http://mlflow:5000",
    artifact_secret="artifacts",
    trust_bundle=("authority", "ca.crt"),
)


def test_the_wheels_of_a_model_are_fetched_before_the_build_each_login_where_it_is_needed():
    source = "mlflow-artifacts:/1/m"
    pod = job(CARRIED, FETCHING, source)["spec"]["template"]["spec"]
    [fetcher], [builder] = pod["initContainers"], pod["containers"]
    assert fetcher["image"] == FETCHING.server
    assert fetcher["command"][1:] == ["-m", "serving.artifact.wheels"]
    assert json.loads(fetcher["args"][0]) == {
        "artifact_uri": source,
        "tracking_uri": "http://mlflow:5000",
        "folder": "/mnt/wheels",
        "wheels": [{"path": WHEEL.path, "name": WHEEL.name, "sha256": WHEEL.sha256}],
    }
    assert fetcher["envFrom"] == [{"secretRef": {"name": "artifacts"}}]
    assert builder["envFrom"] == [{"secretRef": {"name": "index"}}]
    assert {m["name"] for m in fetcher["volumeMounts"]} == {"tmp", "ca", "wheels"}
    assert {"name": "wheels", "mountPath": "/mnt/wheels", "readOnly": True} in builder[
        "volumeMounts"
    ]
    assert fetcher["securityContext"] == builder["securityContext"]
    mounted = {m["name"] for made in (fetcher, builder) for m in made["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    asked = json.loads(request_map(CARRIED, FETCHING, "")["data"]["request.json"])
    assert asked["wheels"] == [{"name": WHEEL.name, "sha256": WHEEL.sha256}]
    assert "wheels" not in json.loads(request_map(REQUEST, PLACE, "")["data"]["request.json"])
    assert "initContainers" not in job(REQUEST, FETCHING, source)["spec"]["template"]["spec"]


def test_models_that_bring_other_wheels_have_other_images():
    other = replace(CARRIED, wheels=(replace(WHEEL, sha256="cd" * 32),))
    assert image_key(CARRIED, PLACE) != image_key(other, PLACE)
    elsewhere = replace(CARRIED, wheels=(replace(WHEEL, path=f"wheels/{WHEEL.name}"),))
    assert image_key(CARRIED, PLACE) == image_key(elsewhere, PLACE)


def test_a_removal_names_its_images_and_whose_they_are_and_sees_no_index():
    [container] = removal_job("collect-1", DIGESTS, PLACE)["spec"]["template"]["spec"]["containers"]
    assert json.loads(container["args"][0]) == {
        "repository": "r.example/ml/environments",
        "digests": DIGESTS,
        "insecure": False,
        "labels": {"schnitzel.dev/platform": "team1", "schnitzel.dev/cluster": "main"},
    }
    assert "envFrom" not in container


def test_no_two_platforms_or_clusters_have_an_image_in_common():
    places = [PLACE, replace(PLACE, platform_id="team2"), replace(PLACE, cluster="other")]
    assert len({image_key(REQUEST, place) for place in places}) == 3
    asked = json.loads(request_map(REQUEST, places[1], "")["data"]["request.json"])
    assert asked["labels"] == {"schnitzel.dev/platform": "team2", "schnitzel.dev/cluster": "main"}
    assert asked["tag"] == image_key(REQUEST, places[1])
