"""A real model in a pod that may do nothing: fetched, served, and why it is not served."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.models import log_models
from support.run.wait import wait_for
from support.systems.cluster import Cluster
from support.systems.environment_builder import small_image
from support.systems.images import built
from support.systems.mlflow import API

FRONT = "/opt/schnitzel/bin/python"
ENVIRONMENT = "/opt/env/bin/python"
FETCH = [FRONT, "-m", "serving.artifact", "/etc/schnitzel/predictor.json"]
ROW = {"dataframe_split": {"columns": ["x"], "data": [[5.1]]}}


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    with cluster.namespace(request) as name:
        yield name


@pytest.fixture(scope="session")
def artifact(cluster: Cluster) -> dict[str, Any]:
    """A model in the cluster's MLflow: where pods fetch it from."""
    url = cluster.fact("mlflow_url")
    name = f"calm-{secrets.token_hex(4)}"
    [version] = log_models(url, [{"name": name, "kind": "constant", "say": 7}])
    query = {"name": name, "version": version}
    found = httpx.get(f"{url}{API}model-versions/get-download-uri", params=query, trust_env=False)
    return {"artifact_uri": found.json()["artifact_uri"], "tracking_uri": url}


def predictor(**settings: Any) -> dict[str, Any]:
    return {
        "predictor": "calm-test",
        "model": "calm",
        "model_version": "1",
        "environment": "test",
        "artifact": "/mnt/model/model",
        "python": ENVIRONMENT,
        "host": "0.0.0.0",  # noqa: S104 - in a pod
        "port": 8080,
        "state_file": "/tmp/state.json",  # noqa: S108 - the pod's own
        "termination_file": "/dev/termination-log",
        "drain_seconds": 1,
        "drain_whole": True,
        **settings,
    }


def pod(image: str) -> dict[str, Any]:
    """What the restricted Pod Security Standard asks for, and a root that cannot be written."""
    closed = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = [
        {"name": "predictor", "mountPath": "/etc/schnitzel"},
        {"name": "model", "mountPath": "/mnt/model"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
    ]
    each = {"image": image, "securityContext": closed, "volumeMounts": mounts}
    ready = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [{"name": "artifact", "command": FETCH, **each}],
            "containers": [{"name": "server", "readinessProbe": ready, **each}],
            "volumes": [
                {"name": "predictor", "configMap": {"name": "server"}},
                {"name": "model", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }


def start(cluster: Cluster, namespace: str, image: str, **settings: Any) -> None:
    data = {"predictor.json": json.dumps(predictor(**settings))}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "server"}, "data": data}
    cluster.apply(config, pod(image), namespace=namespace)


def status(cluster: Cluster, namespace: str) -> dict[str, Any]:
    return cluster.get("pod", "server", "-n", namespace)["status"]


def ended(cluster: Cluster, namespace: str, kind: str) -> dict[str, Any] | None:
    """How a container ended, with what it left for the kubelet."""
    statuses = status(cluster, namespace).get(kind) or [{}]
    over = statuses[0].get("state", {}).get("terminated")
    return over and {**over, "said": json.loads(over["message"])}


@pytest.mark.timeout(1800)  # the first time, an environment is built and pulled
def test_a_real_model_is_served_by_a_pod_that_may_do_nothing(cluster, namespace, artifact):
    start(cluster, namespace, small_image(cluster), **artifact)
    fetched = wait_for(lambda: ended(cluster, namespace, "initContainerStatuses"), "a fetch", 180)
    assert fetched["exitCode"] == 0
    assert set(fetched["said"]) == {"digest", "bytes", "seconds"}
    assert len(fetched["said"]["digest"]) == 64

    def address():
        seen = status(cluster, namespace)
        ready = {"type": "Ready", "status": "True"}
        met = any(ready.items() <= each.items() for each in seen.get("conditions", []))
        return seen["podIP"] if met else None

    url = f"http://{wait_for(address, 'a ready pod', 120)}:8080"
    answer = httpx.post(f"{url}/invocations", json=ROW, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [7]}
    assert answer.headers["x-schnitzel-predictor"] == "calm-test"
    assert "schnitzel_ready 1" in httpx.get(f"{url}/metrics", trust_env=False).text

    def inside(*command: str) -> str:
        return cluster.kubectl("exec", "-n", namespace, "server", "-c", "server", "--", *command)

    assert inside(FRONT, "-c", "import os; print(os.getuid(), os.getgid())").split()[0] == "65532"
    tried = "try: open('/opt/env/x', 'w')\nexcept OSError as error: print(error.strerror)"
    assert "Read-only file system" in inside(FRONT, "-c", tried)
    # Bytecode was made with the image: nothing is compiled at a start that could not keep it.
    loads = "import sys; sys.argv = []; import mlflow.pyfunc"
    seen = inside("/bin/sh", "-c", f"{ENVIRONMENT} -v -c '{loads}' 2>&1 | grep 'code object from'")
    compiled = [line for line in seen.splitlines() if "/opt/env" in line and ".pyc'" not in line]
    assert len(seen.splitlines()) > 500
    assert compiled == []


def test_why_a_model_did_not_come_reaches_the_kubelet(cluster, namespace, artifact):
    start(
        cluster,
        namespace,
        built(cluster, "model-server")["model-server"],
        **artifact,
        artifact_digest="0" * 64,
    )
    failed = wait_for(lambda: ended(cluster, namespace, "initContainerStatuses"), "an end", 120)
    assert failed["exitCode"] == 1
    assert failed["said"]["reason"] == "ArtifactCorrupt"
    assert failed["said"]["hint"]


def test_why_a_model_does_not_load_reaches_the_kubelet(cluster, namespace, artifact):
    # Without an environment in the image there is no /opt/env.
    start(cluster, namespace, built(cluster, "model-server")["model-server"], **artifact)
    failed = wait_for(lambda: ended(cluster, namespace, "containerStatuses"), "an end", 120)
    assert failed["exitCode"] == 64
    assert failed["said"]["reason"] == "LoadError"
    assert ENVIRONMENT in failed["said"]["message"]
