"""What runs of a cluster's images, as the cache shows it."""

from __future__ import annotations

from typing import Any

from support.kubernetes.contexts import context_of

from deployer.python_env.collector import Collector
from deployer.python_env.retention import Need, Needs
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import LiveObject, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.images import site
from deployer.targets.kubernetes.images.inventory import ClusterImages
from deployer.targets.kubernetes.images.site import BuildSite

DIGEST = "sha256:" + "1" * 64
SITE = BuildSite("builds", "p1", "c", "builder", "base", "r.example/e", "r.example/e")


class Cluster:
    """Its cache, and its client, with one build's ConfigMap."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods = [Packer(kinds.POD).pack(each) for each in pods]

    def all(self, kind: kinds.Kind) -> list[LiveObject]:
        return self._pods if kind is kinds.POD else []

    def list(self, *_: object, **__: object) -> list[dict[str, Any]]:
        labels = {site.KEY: "k1", site.REQUIREMENTS: "r1"}
        made = "2026-01-01T00:00:00Z"
        meta = {"name": "environment-k1", "labels": labels, "creationTimestamp": made}
        return [{"metadata": meta, "data": {"image": f"r.example/e@{DIGEST}"}}]


class Builds:
    """Nothing is being built, or was asked for."""

    def building(self, _: str) -> bool:
        return False

    def requested_at(self, _: str) -> float:
        return 0.0


class Files:
    """The request of a version is not known yet."""

    def request(self, *_: object) -> Any:
        from deployer.background.jobs import Job

        return Job("running", 1.0)


def pod(name: str, image: str, **labels: str) -> dict[str, Any]:
    meta = {"namespace": "prod", "name": name, "uid": name, "resourceVersion": "1"}
    return {
        "metadata": {**meta, "labels": {"schnitzel.dev/platform": "p1", **labels}},
        "spec": {"containers": [{"image": image}]},
    }


def images(*pods: dict[str, Any]) -> Collector:
    cluster: Any = Cluster(*pods)
    builds: Any = Builds()
    files: Any = Files()
    return Collector(ClusterImages(context_of(cluster, cluster), builds, SITE, files), "test")


def need(predictor: str = "") -> Need:
    version = VersionId("angler", 2, 1)
    return Need("angler", "prod", version, "s3://a", "previous", predictor)


def test_a_pod_that_is_no_predictors_takes_no_version_its_need(monkeypatch):
    build = pod("environment-k2", "r.example/builder@sha256:" + "2" * 64)
    collector = images(build)
    found = collector.inventory(Needs((need(),)))
    collector.close()
    assert "not known yet which packages are asked for by angler@prod version 2" in found.unknown


def test_a_predictor_that_runs_another_image_needs_none_of_ours():
    own = {"schnitzel.dev/predictor": "p"}
    collector = images(pod("x", "r.example/own@sha256:" + "3" * 64, **own))
    found = collector.inventory(Needs((need("p"),)))
    collector.close()
    assert found.unknown == ""
    assert found.built[0].users == ()


def test_a_predictor_that_runs_ours_is_its_user():
    own = {"schnitzel.dev/predictor": "p"}
    collector = images(pod("x", f"r.example/e@{DIGEST}", **own))
    found = collector.inventory(Needs((need("p"),)))
    collector.close()
    assert [user.version for user in found.built[0].users] == ["2"]
