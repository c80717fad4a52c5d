"""The manifests of builds and removals: what they may, and whose their images are."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.kubernetes.build_place import PLACE

from deployer.requirements import EnvironmentRequest
from deployer.targets.kubernetes.buildjob import job, removal_job, request_map
from deployer.targets.kubernetes.buildplace import image_key

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
