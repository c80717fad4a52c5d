"""The chart seldon with our real images: a model of MLflow's, served in three of its shapes.

The operator is a stand-in. The fourth shape has TensorFlow Serving in it, which is another:
tests/node/smoke/test_runtimes.py.

Nightly, since it builds the large image of scikit-learn; not seen since its image changed.
"""

import secrets

import httpx
import pytest
import yaml
from support import ROOT
from support.models import log_models
from support.systems.environment_builder import sklearn_image
from support.systems.images import built, push_reference
from support.systems.mlflow import API

from deployer.state.predictor import Phase
from deployer.targets.kubernetes.render.charts import Charts

pytestmark = pytest.mark.timeout(1800)

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [5.1, 3.5, 1.4, 0.2]
INVOCATION = {"dataframe_split": {"columns": NAMES, "data": [ROW]}}
TENSOR = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 4], "data": ROW}]}


@pytest.fixture(scope="module")
def images(kube):
    return built(kube, "model-server", "environment-builder", "seldon-microservice")


@pytest.fixture(scope="module")
def served(kube, images, tmp_path_factory):
    """A model in the cluster's MLflow, and the image with its environment."""
    url = kube.fact("mlflow_url")
    name = f"iris-{secrets.token_hex(4)}"
    [version] = log_models(url, [{"name": name, "kind": "sklearn"}])
    query = {"name": name, "version": version}
    found = httpx.get(f"{url}{API}model-versions/get-download-uri", params=query, trust_env=False)
    pushed = {name: push_reference(kube, image) for name, image in images.items()}
    image = sklearn_image(kube, pushed, tmp_path_factory.mktemp("environment"))
    artifact = {"uri": found.json()["artifact_uri"], "trackingUri": url, "digest": ""}
    return {"model": "iris", "modelVersion": "3", "image": image, "artifact": artifact}


@pytest.fixture
def start(place, served, images):
    """Have a shape of the chart served; how to ask our Service and the operator's."""

    def ready(shape):
        values = yaml.safe_load((ROOT / f"tests/unit/helm/values/seldon/{shape}.yaml").read_text())
        values |= served | {"predictor": "iris-v3", "server": {"drainSeconds": 1}}
        if shape == "microservice":
            values["microservice"] = {"image": images["seldon-microservice"]}
        place.apply(*Charts(ROOT / "helm").render("seldon", "iris-v3", place.name, values))
        place.wait_seen("iris-v3", Phase.READY, seconds=300)

        def address(service, port):
            return f"http://{place.find('service', service)['spec']['clusterIP']}:{port}"

        return address

    return ready


def post(url, body):
    answer = httpx.post(url, json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer


def test_our_server_as_the_container(place, start):
    address = start("server")
    ours, operators = address("iris-v3", 8080), address("iris-v3-main", 8080)
    answer = post(f"{ours}/v2/models/iris/infer", TENSOR)
    assert answer.json()["outputs"][0]["data"] == [0]
    assert answer.headers["x-schnitzel-model-version"] == "3"
    assert post(f"{ours}/invocations", INVOCATION).json() == {"predictions": [0]}
    told = place.status("iris-v3")["address"]["url"]
    path = told.partition(".svc.cluster.local:8080")[2]
    assert path == "/v2/models/model/infer"
    assert post(f"{operators}{path}", TENSOR).json()["outputs"][0]["data"] == [0]
    [pod] = place.get("pods")
    metrics = f"http://{pod['status']['podIP']}:6000/prometheus"
    assert "schnitzel_requests_total" in httpx.get(metrics, timeout=30, trust_env=False).text
    window = f"http://{pod['status']['podIP']}:8081/schnitzel/window"
    counted = httpx.get(window, timeout=30, trust_env=False).json()["total"]["counts"]
    assert counted == {"ok": 3}


def test_our_server_under_a_name_of_the_operators_config(place, start):
    address = start("named")
    ours = address("iris-v3", 8080)
    answer = post(f"{ours}/v2/models/iris/infer", TENSOR)
    assert answer.json()["outputs"][0]["data"] == [0]
    assert answer.headers["x-schnitzel-predictor"] == "iris-v3"
    [pod] = place.get("pods")
    [init] = pod["spec"]["initContainers"]
    assert init["name"] == "model-model-initializer"
    [ended] = pod["status"]["initContainerStatuses"]
    assert '"digest"' in ended["state"]["terminated"]["message"]


def test_seldons_microservice_before_our_server(place, start):
    address = start("microservice")
    ours, operators = address("iris-v3", 8080), address("iris-v3-main", 9000)
    body = {"data": {"names": NAMES, "ndarray": [ROW]}}
    found = post(f"{operators}/api/v1.0/predictions", body).json()
    assert found["data"]["ndarray"] == [0]
    assert found["meta"]["tags"] == {"model_version": "3"}
    feedback = {"request": body, "reward": 1.0}
    post(f"{operators}/api/v1.0/feedback", feedback)
    assert post(f"{ours}/v2/models/iris/infer", TENSOR).json()["outputs"][0]["data"] == [0]
    page = httpx.get(f"{ours}/prometheus", timeout=30, trust_env=False).text
    assert 'schnitzel_requests_total{route="invocations",code="200"}' in page
