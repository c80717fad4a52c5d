"""Built environments as people see them: who uses each, what goes, and that what is used stays.

By its name the last of those on a cluster: it takes away the environment that all of them share.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.models import log_models
from support.platform.cluster import BUILDS, ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster
from support.systems.images import push_reference


def listed(platform: Any) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = json.loads(platform.cli("image", "list", "-o", "json"))["places"]
    assert [place["message"] for place in places] == [""] * len(places)
    return [image for place in places for image in place["images"]]


@pytest.fixture
def on_cluster(tmp_path: Path) -> Iterator[ClusterPlatform]:
    made = ClusterPlatform(cluster(), tmp_path / "home")
    try:
        model = {"name": made.model("calm"), "kind": "constant"}
        log_models(made.mlflow.url, [model | {"say": 1}, model | {"say": 2}])
        made.up()
        yield made
    finally:
        made.down()


@pytest.mark.timeout(900)
def test_an_image_stays_while_a_version_needs_it_and_goes_after(on_cluster):
    platform, model = on_cluster, on_cluster.model("calm")
    environment = platform.environment("prod")
    for version in (1, 2):
        platform.mlflow.alias(model, environment, version)
        platform.serving("calm", version, seconds=600)
    wait_for(lambda: len(platform.objects("deployments")) == 1, "the old one to be gone", 60)
    [image] = listed(platform)
    assert image["state"] == "ready"
    assert {(user["version"], user["part"]) for user in image["users"]} == {
        ("2", "serving"), ("1", "previous"),
    }  # fmt: skip
    assert f"{model}@{environment} version 2 (serving)" in image["kept"]

    platform.mlflow.delete("registered-models/delete", name=model)
    wait_for(lambda: not platform.objects("deployments"), "the model to be retired", 120)
    platform.stop()  # it was asked for by this process
    key = image["name"]
    selector = f"schnitzel.dev/environment={key}"
    place = ("configmaps", "-n", BUILDS, "-l", selector)
    long_ago = json.dumps({"data": {"made": "1"}})
    [known] = platform.cluster.get(*place)["items"]
    platform.cluster.kubectl(
        "patch", "configmap", known["metadata"]["name"], "-n", BUILDS, "-p", long_ago
    )
    platform.up()
    [image] = listed(platform)
    assert image["collectable"], image
    platform.cli("image", "collect", "--yes")
    assert listed(platform) == []
    assert platform.cluster.get(*place)["items"] == []
    name = push_reference(platform.cluster, image["image"])
    looked = [platform.cluster.program("crane"), "manifest", "--insecure", name]
    assert b"MANIFEST_UNKNOWN" in subprocess.run(looked, capture_output=True, check=False).stderr
