"""One Deployer, three environments: two namespaces of one cluster, and another API server.

Nightly, until it is seen to pass beside the other tests of the node.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support import CRD
from support.load import Load
from support.models import log_models
from support.platform.cluster import BUILDS, ClusterPlatform
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.cluster import cluster, second, testcluster
from support.systems.images import built

pytestmark = pytest.mark.timeout(1800)

PROJECT = "lab"


@pytest.fixture(scope="module")
def other():
    """Another cluster, that has no node, with the kinds that a Deployer needs and a scheduler."""
    with second() as found:
        route = cluster().get("crd", "httproutes.gateway.networking.k8s.io")
        route.pop("status")
        route["metadata"] = {k: route["metadata"][k] for k in ("name", "annotations")}
        found.apply(route)
        found.define(CRD)
        scheduler = Running(
            [
                found.program("kube-scheduler"),
                f"--kubeconfig={found.kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
            Path(found.fact("logs")) / "scheduler.log",
            os.environ,
        )
        try:
            yield found
        finally:
            scheduler.stop()


@pytest.fixture(scope="module")
def platform(other, tmp_path_factory):
    server = built(cluster())["model-server"]
    template = {"namespace": "{project}-{environment}"}
    elsewhere = {"cluster": "other", "overlay": {"image": server}}
    made = ClusterPlatform(
        cluster(),
        tmp_path_factory.mktemp("environments") / "home",
        ("dev", "prod", "far"),
        {
            "each": {"dev": template, "prod": template, "far": elsewhere},
            "clusters": {
                "other": {
                    "kubeconfig": str(other.kubeconfig),
                    "gateway": {"name": "none", "namespace": "none", "url": "http://127.0.0.1:9"},
                    "server_image": server,
                }
            },
            "limits": {"images": [server]},
        },
        builds=False,
    )
    try:
        for name in ("dev", "prod"):
            made.namespace(namespace(made, name))
        meta = {"name": made.environment("far")}
        other.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        name = made.model("iris")
        log_models(made.mlflow.url, [{"name": name, "kind": "constant", "say": s} for s in (1, 2)])
        for version in ("1", "2"):
            tag = {"key": "schnitzel.project", "value": f"{made.mark}-{PROJECT}"}
            made.mlflow.post("model-versions/set-tag", name=name, version=version, **tag)
        made.up()
        yield made
    finally:
        made.down()
        lease = f"schnitzel-{made.mark}"
        made.cluster.run("delete", "lease", lease, "-n", BUILDS, "--ignore-not-found")


def namespace(platform, environment: str) -> str:
    """As the template of dev and prod is filled."""
    return f"{platform.mark}-{PROJECT}-{platform.environment(environment)}"


def promote(platform, environment: str, version: int) -> None:
    platform.mlflow.alias(platform.model("iris"), platform.environment(environment), version)


def versions(where, name: str, kind: str = "deployments") -> list[str]:
    """The versions of the model whose objects of a kind are in a namespace."""
    return sorted(
        o["metadata"]["labels"]["app.kubernetes.io/version"]
        for o in where.get(kind, "-n", name, "-l", "app.kubernetes.io/managed-by=schnitzel")[
            "items"
        ]
    )


def test_environments_are_namespaces_named_by_their_template(platform):
    promote(platform, "dev", 1)
    promote(platform, "prod", 1)
    urls = {name: platform.serving("iris", 1, name, 600)["url"] for name in ("dev", "prod")}
    promote(platform, "dev", 2)
    assert platform.serving("iris", 2, "dev")["url"] == urls["dev"]
    assert platform.predict(urls["dev"]).json() == {"predictions": [2]}
    assert platform.predict(urls["prod"]).json() == {"predictions": [1]}
    first = platform.cluster
    wait_for(lambda: versions(first, namespace(platform, "dev")) == ["2"], "version 1 to go")
    assert versions(first, namespace(platform, "prod")) == ["1"]
    for name in ("dev", "prod"):
        [kept] = first.get("modeldeployments", "-n", namespace(platform, name))["items"]
        assert kept["spec"]["environment"] == platform.environment(name)
        assert not versions(first, platform.environment(name))


def test_an_environment_on_another_cluster_is_applied_there_and_only_there(platform, other):
    promote(platform, "far", 1)
    model, far = platform.model("iris"), platform.environment("far")
    seen = platform.wait(model, lambda d: d["reason"] == "Unschedulable", far)
    assert "The cluster has no node." in seen["message"]
    assert seen["state"] == "Progressing"
    [kept] = other.get("modeldeployments", "-n", far)["items"]
    assert kept["metadata"]["name"] == seen["id"]
    assert kept["spec"]["record"]["candidate"]
    for kind in ("deployments", "services", "configmaps"):
        assert versions(other, far, kind) == ["1"]
    everywhere = platform.cluster.get("modeldeployments", "-A")["items"]
    assert seen["id"] not in {o["metadata"]["name"] for o in everywhere}
    assert not other.get("httproutes", "-A")["items"]


def test_a_cluster_that_is_away_disturbs_no_deployment_of_the_other(platform, other):
    model, far = platform.model("iris"), platform.environment("far")
    promote(platform, "prod", 1)
    promote(platform, "far", 1)
    prod = platform.serving("iris", 1, "prod")
    platform.wait(model, lambda d: d["reason"] == "Unschedulable", far)
    with Load(prod["url"], rate=20, connections=2) as load:
        os.kill(other.pid("apiserver"), signal.SIGKILL)
        promote(platform, "far", 2)
        seen = platform.wait(model, lambda d: d["reason"] == "ClusterUnavailable", far, 90)
        assert seen["state"] == "Failed"
        promote(platform, "prod", 2)
        platform.serving("iris", 2, "prod")
        platform.stop()
        platform.up()  # a Deployer that never reached the other cluster
        promote(platform, "dev", 1)
        platform.serving("iris", 1, "dev")
        testcluster("up", "--control-plane-only", "--state", str(other.fact("state")))
        platform.wait(
            model,
            lambda d: (d["wanted"] or {}).get("version") == "2" and d["reason"] == "Unschedulable",
            far,
            120,
        )
        wait_for(lambda: versions(other, far) == ["2"], "version 1's objects to be gone")
    assert not load.failed
    assert load.versions() == {"1", "2"}
