"""The chart tfserving in pods: fetched, warmed, asked in every protocol, and ended in order.

TensorFlow Serving is the stand-in, on an environment with TensorFlow.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.run.wait import wait_for
from support.systems import tfserving as tfserving_standin
from support.systems.cluster import Cluster
from support.systems.images import built
from support.systems.tfserving_image import standin_image

from deployer.targets.kubernetes.render.charts import Charts

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[3]
SAVE = ROOT / "tests/nightly/serving/save_saved_models.py"
KEPT = "schnitzel.dev/tests"
SPINS = 300_000
GRPC = """
import sys, grpc, tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc as service
stub = service.PredictionServiceStub(grpc.insecure_channel(sys.argv[1]))
request = predict_pb2.PredictRequest()
request.model_spec.name = "halfplustwo"
request.model_spec.version_label = "test"
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
print(tf.make_ndarray(stub.Predict(request, 60).outputs["y"]).tolist())
"""


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    return standin_image(cluster)


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved-models")
    tfserving_standin.run(SAVE, folder)
    return folder


class Served:
    """One predictor, as the chart renders it."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.client, self.grpc = httpx.Client(), ""

    def pod(self) -> dict[str, Any]:
        [found] = self._cluster.get("pods", "-n", self._namespace)["items"]
        return found

    def statuses(self) -> dict[str, dict[str, Any]]:
        said = self.pod()["status"]
        both = said.get("initContainerStatuses", []) + said.get("containerStatuses", [])
        return {each["name"]: each for each in both}

    def ready(self) -> Served:
        def is_ready() -> bool:
            conditions = self.pod()["status"].get("conditions", [])
            return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)

        wait_for(is_ready, "a ready pod", 600, every=0.5)
        address = self.pod()["status"]["podIP"]
        self.grpc = f"{address}:8500"
        self.client.close()
        self.client = httpx.Client(base_url=f"http://{address}:8080", trust_env=False, timeout=60)
        return self

    def kubectl(self, *arguments: str) -> str:
        return self._cluster.kubectl("-n", self._namespace, *arguments)


@pytest.fixture
def serve(
    cluster: Cluster, image: str, saved_models: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Served]]:
    """Serve a SavedModel of save_saved_models.py, fetched from the cluster's MLflow."""
    url = cluster.fact("mlflow_url")
    front = built(cluster, "model-server", "environment-builder")["model-server"]
    started: list[Served] = []
    with cluster.namespace(request) as namespace:

        def start(name: str, folder: str = "saved_model") -> Served:
            place = f"tfserving-{secrets.token_hex(4)}"
            files = {"MLmodel": b"flavors: {}\n"}
            for path in (saved_models / name).rglob("*"):
                if path.is_file():
                    inside = path.relative_to(saved_models / name)
                    files[f"{folder}/{inside}"] = path.read_bytes()
            for path, content in files.items():
                where = f"{url}/api/2.0/mlflow-artifacts/artifacts/{place}/{path}"
                put = httpx.put(where, content=content, trust_env=False)
                assert put.status_code == 200, put.text
            values = {
                "deployment": f"{name}-test",
                "predictor": f"{name}-test-v3-00000000",
                "model": name,
                "modelVersion": "3",
                "environment": "test",
                "platform": "tests",
                "image": front,
                "tfserving": {"image": image},
                "artifact": {"uri": f"mlflow-artifacts:/{place}", "trackingUri": url},
            }
            charts = Charts(ROOT / "helm")
            rendered = charts.render("tfserving", "release", namespace, values)
            cluster.apply(*rendered, namespace=namespace)
            found = Served(cluster, namespace)
            started.append(found)
            wait_for(lambda: cluster.get("pods", "-n", namespace)["items"], "a pod")
            return found

        yield start
        for each in started:
            each.client.close()


def infer(served: Served, name: str, datatype: str, data: list[Any]) -> httpx.Response:
    tensor = {"name": "x", "datatype": datatype, "shape": [len(data)], "data": data}
    return served.client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]})


def test_a_model_is_asked_in_every_protocol(serve, tmp_path):
    served = serve("halfplustwo").ready()
    [output] = infer(served, "halfplustwo", "FP32", [1.0, 2.0]).json()["outputs"]
    assert output["data"] == [2.5, 3.0]
    answer = served.client.post("/invocations", json={"instances": [1.0, 2.0]})
    assert answer.json() == {"predictions": [2.5, 3.0]}
    assert answer.headers["x-schnitzel-predictor"] == "halfplustwo-test-v3-00000000"
    own = "/v1/models/halfplustwo/labels/test:predict"
    assert served.client.post(own, json={"inputs": [1.0]}).json() == {"outputs": [2.5]}
    program = tmp_path / "ask.py"
    program.write_text(GRPC)
    assert tfserving_standin.run(program, served.grpc).strip() == "[2.5, 3.0]"
    assert "schnitzel_ready 1" in served.client.get("/metrics").text

    pod = served.pod()["metadata"]["name"]
    log = served.kubectl("logs", pod, "-c", "tfserving")
    assert "Number of warmup records read: 2." in log
    inside = ("exec", pod, "-c", "tfserving", "--", "/bin/sh", "-c")
    assert served.kubectl(*inside, "id -u").strip() == "65532"
    assert served.kubectl(*inside, "touch /models/model/3/x 2>/dev/null || echo no").strip() == "no"


def test_a_pod_ends_without_losing_a_request_and_without_being_killed(serve):
    served = serve("spins").ready()
    pod = served.pod()["metadata"]["name"]
    keep = json.dumps({"metadata": {"finalizers": [KEPT]}})
    served.kubectl("patch", "pod", pod, "-p", keep)  # so that its last words can be read
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(infer, served, "spins", "INT64", [SPINS])
            under_way = "schnitzel_requests_in_flight 1"
            wait_for(lambda: under_way in served.client.get("/metrics").text, "a request under way")
            served.kubectl("delete", "pod", pod, "--wait=false")
            assert asked.result(120).json()["outputs"][0]["data"] == [SPINS]

        def ended() -> dict[str, Any] | None:
            found = json.loads(served.kubectl("get", "pod", pod, "-o", "json"))["status"]
            both = [*found["containerStatuses"], found["initContainerStatuses"][1]]
            states = {each["name"]: each["state"].get("terminated") for each in both}
            return states if all(states.values()) else None

        states = wait_for(ended, "the end of both containers", 120)
        assert states["server"]["exitCode"] == 0
        assert states["tfserving"]["exitCode"] == 143  # SIGTERM; 137 were a kill, after a minute
        assert states["server"]["finishedAt"] <= states["tfserving"]["finishedAt"]
    finally:
        gone = json.dumps({"metadata": {"finalizers": None}})
        served.kubectl("patch", "pod", pod, "-p", gone)


def termination_message(served: Served, container: str) -> str:
    """What a container left when it ended, this time or the last."""
    status = served.statuses().get(container, {})
    for state in (status.get("state", {}), status.get("lastState", {})):
        if message := state.get("terminated", {}).get("message"):
            return message
    return ""


def test_an_artifact_without_a_saved_model_is_said(serve):
    served = serve("halfplustwo", folder="elsewhere")
    said = wait_for(lambda: termination_message(served, "artifact"), "why", 180)
    assert json.loads(said)["reason"] == "ArtifactMissing"


def test_a_saved_model_that_cannot_be_loaded_is_said(serve, saved_models):
    shutil.copytree(saved_models / "matrix", saved_models / "broken")
    (saved_models / "broken" / "saved_model.pb").write_bytes(b"not a protobuf")
    served = serve("broken")
    said = wait_for(lambda: termination_message(served, "tfserving"), "why", 300)
    assert "servable(s) did not become available" in said
