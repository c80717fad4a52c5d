"""The stand-in of the operator: servers by name, and TENSORFLOW_SERVER under both protocols."""

import json

import pytest
from standins.seldon import objects, servers
from support.systems.seldon import env_of, ports_of

META = {"name": "iris-v1", "namespace": "models", "uid": "u"}
OWN = {"image": "localhost/srv", "defaultImageVersion": "1"}
CONFIG = servers.DEFAULTS | {"SCHNITZEL_SERVER": {"protocols": {"seldon": OWN, "v2": OWN}}}
TF = {"name": "iris", "implementation": "TENSORFLOW_SERVER", "modelUri": "s3://bucket/iris"}


@pytest.fixture
def made(resource):
    def make(graph, protocol, containers=None, config=CONFIG, **over):
        components = None if containers is None else [{"spec": {"containers": containers}}]
        found = resource(graph=graph, protocol=protocol, componentSpecs=components, **over)
        return objects.wanted(found | {"metadata": META}, config, "initializer:1")

    return make


def tcp(container):
    return [container[probe].get("tcpSocket") for probe in ("readinessProbe", "livenessProbe")]


GRAPH = {
    "name": "model",
    "implementation": "SCHNITZEL_SERVER",
    "modelUri": "s3://bucket/m",
    "parameters": [{"name": "depth", "value": "3", "type": "INT"}],
}


def test_a_server_of_ones_own_name_under_seldon(pod):
    spec = pod(GRAPH, "seldon")
    [model] = spec["containers"]
    assert model["image"] == "localhost/srv:1"
    assert "args" not in model
    assert json.loads(env_of(model)["PREDICTIVE_UNIT_PARAMETERS"]) == [
        *GRAPH["parameters"],
        {"name": "model_uri", "value": "/mnt/models", "type": "STRING"},
    ]
    assert tcp(model) == [{"port": "http"}, {"port": "http"}]
    assert spec["initContainers"][0]["name"] == "model-model-initializer"


def test_a_server_of_ones_own_name_under_v2(pod):
    [model] = pod(GRAPH, "v2")["containers"]
    env = env_of(model)
    assert env["MLSERVER_MODEL_IMPLEMENTATION"] == ""
    assert env["MLSERVER_MODEL_VERSION"] == "v1"
    assert "TEMPO_RUNTIME_OPTIONS" in env
    assert model["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert model["livenessProbe"]["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    assert ports_of(model) == [("http", 9000), ("grpc", 9500)]
    assert env["PREDICTIVE_UNIT_METRICS_SERVICE_PORT"] == "6000"


def test_a_container_of_its_name_says_some_things(pod):
    own = {
        "name": "model",
        "image": "other:2",
        "args": ["-v"],
        "env": [{"name": "A", "value": "b"}],
        "resources": {"limits": {"cpu": "1"}},
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
    }
    [model] = pod(GRAPH, "v2", [own])["containers"]
    assert (model["image"], model["args"]) == ("other:2", ["-v"])
    assert model["resources"] == own["resources"]
    assert env_of(model)["A"] == "b"
    handler = {"httpGet": {"path": "/v2/health/ready", "port": "http"}}
    assert model["readinessProbe"] == {"periodSeconds": 1} | handler


def test_tensorflow_serves_in_one_container(made):
    found = made(TF, "tensorflow")
    [deployment] = found.deployments
    spec = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "iris-v1-main-0-iris"
    [iris] = spec["containers"]
    assert iris["image"] == "tensorflow/serving:2.1.0"
    assert iris["args"] == [
        "--port=9500",
        "--rest_api_port=9000",
        "--model_name=iris",
        "--model_base_path=/mnt/models",
    ]
    assert "command" not in iris
    assert ports_of(iris) == [("metrics", 6000), ("http", 9000), ("grpc", 9500)]
    assert tcp(iris) == [{"port": "http"}, {"port": "http"}]
    assert env_of(iris)["PREDICTIVE_UNIT_IMAGE"] == ""
    [init] = spec["initContainers"]
    assert (init["name"], init["args"]) == (
        "iris-model-initializer",
        ["s3://bucket/iris", "/mnt/models"],
    )
    assert spec["securityContext"] == {"runAsUser": 8888}
    names = {s["metadata"]["name"] for s in found.services}
    assert names == {"iris-v1-main", "iris-v1-main-iris"}
    address = "http://iris-v1-main.models.svc.cluster.local:9000/v1/models/iris:predict"
    assert found.url == address


def test_tensorflow_behind_its_proxy(made):
    found = made(TF, "seldon")
    [deployment] = found.deployments
    spec = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "iris-v1-main-0-iris"
    proxy, server = spec["containers"]
    assert (proxy["name"], proxy["image"]) == ("iris", "seldonio/tfserving-proxy:1.17.1")
    assert "args" not in proxy
    assert env_of(proxy)["MLSERVER_MODEL_URI"] == "/mnt/models"
    assert all(m["mountPath"] != "/mnt/models" for m in proxy["volumeMounts"])
    assert server["name"] == "tfserving"
    assert server["args"][:2] == ["--port=2000", "--rest_api_port=2001"]
    assert not {"env", "lifecycle", "readinessProbe"} & set(server)
    assert all(name is None for name, _ in ports_of(server))
    assert [m["mountPath"] for m in server["volumeMounts"]] == ["/mnt/models"]
    assert spec["initContainers"][0]["name"] == "tfserving-model-initializer"
    assert found.url.endswith(":9000/api/v1.0/predictions")


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ([], ["rest_endpoint", "grpc_endpoint", "model_name"]),
        (["signature_name"], ["signature_name", "rest_endpoint", "grpc_endpoint", "model_name"]),
        (["rest_endpoint"], ["rest_endpoint", "model_name"]),
    ],
)
def test_parameters_of_the_proxy(pod, given, after):
    own = [{"name": name, "value": "x", "type": "STRING"} for name in given]
    proxy = pod(TF | {"parameters": own}, "seldon")["containers"][0]
    found = json.loads(env_of(proxy)["PREDICTIVE_UNIT_PARAMETERS"])
    assert [each["name"] for each in found] == after
    assert found[-1]["value"] == "iris"
    iris = pod(TF | {"parameters": own}, "tensorflow")["containers"][0]
    told = json.loads(env_of(iris).get("PREDICTIVE_UNIT_PARAMETERS", "[]"))
    assert [each["name"] for each in told] == given
    assert "--model_name=iris" in iris["args"]


def test_overrides_under_tensorflow_are_kept(pod):
    own = {
        "name": "iris",
        "image": "own:1",
        "args": ["--x"],
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", "1"]}}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "readinessProbe": {"httpGet": {"path": "/v1/models/iris", "port": "http"}},
    }
    [iris] = pod(TF, "tensorflow", [own])["containers"]
    for field in ("image", "args", "lifecycle", "readinessProbe"):
        assert iris[field] == own[field]
    assert [m["mountPath"] for m in iris["volumeMounts"]] == ["/v", "/etc/podinfo", "/mnt/models"]


def test_arguments_follow_ones_own_ports(made):
    ports = [{"name": "http", "containerPort": 8501}, {"name": "grpc", "containerPort": 8500}]
    found = made(TF, "tensorflow", [{"name": "iris", "ports": ports}])
    [iris] = found.deployments[0]["spec"]["template"]["spec"]["containers"]
    assert iris["args"][:2] == ["--port=8500", "--rest_api_port=8501"]
    assert ":8501/" in found.url
    for service in found.services:
        assert [p["port"] for p in service["spec"]["ports"]] == [8501, 8500]


def test_under_seldon_the_proxys_image_is_overwritten(pod):
    own = [
        {"name": "iris", "image": "own:1"},
        {"name": "tfserving", "image": "tf:1", "args": ["x"]},
    ]
    proxy, server = pod(TF, "seldon", own)["containers"]
    assert proxy["image"] == "seldonio/tfserving-proxy:1.17.1"
    assert (server["image"], server["args"]) == ("tf:1", ["x"])


@pytest.mark.parametrize(
    ("containers", "http"),
    [(["iris", "tfserving"], 9000), (["tfserving", "iris"], 9001), (["tfserving"], 9001)],
)
def test_the_order_of_containers_decides_the_ports(made, containers, http):
    found = made(TF, "seldon", [{"name": name, "image": "x:1"} for name in containers])
    for service in found.services:
        assert [p["port"] for p in service["spec"]["ports"]] == [http, http + 500]


def test_naming_the_server_renames_the_deployment(made):
    own = [{"name": "iris"}, {"name": "tfserving", "image": "x:1"}]
    [deployment] = made(TF, "seldon", own).deployments
    assert deployment["metadata"]["name"] == "iris-v1-main-0-iris-tfserving"


def test_a_sidecar_is_left_alone(made):
    own = [{"name": "iris"}, {"name": "oip", "image": "oip:1", "ports": [{"containerPort": 8080}]}]
    found = made(TF, "tensorflow", own)
    [deployment] = found.deployments
    assert deployment["metadata"]["name"] == "iris-v1-main-0-iris-oip"
    assert deployment["spec"]["template"]["spec"]["containers"][1] == own[1]
    for service in found.services:
        assert [p["port"] for p in service["spec"]["ports"]] == [9000, 9500]


def test_an_own_initializer_and_volume_are_taken_instead(made, resource):
    init = {"name": "iris-model-initializer", "image": "own:1", "args": ["own"]}
    volume = {"name": "iris-provision-location", "emptyDir": {"sizeLimit": "1Gi"}}
    spec = {"initContainers": [init], "volumes": [volume], "containers": [{"name": "iris"}]}
    found = resource(graph=TF, protocol="tensorflow", componentSpecs=[{"spec": spec}])
    [deployment] = objects.wanted(found | {"metadata": META}, CONFIG, "initializer:1").deployments
    pod = deployment["spec"]["template"]["spec"]
    assert pod["initContainers"] == [init]
    assert [v["name"] for v in pod["volumes"]] == ["iris-provision-location", "seldon-podinfo"]
    assert pod["volumes"][0] == volume


def test_an_image_for_v2_in_the_config_makes_the_proxys_shape(made):
    protocols = CONFIG["TENSORFLOW_SERVER"]["protocols"] | {"v2": OWN}
    config = CONFIG | {"TENSORFLOW_SERVER": {"protocols": protocols}}
    found = made(TF, "v2", config=config)
    proxy, server = found.deployments[0]["spec"]["template"]["spec"]["containers"]
    assert (proxy["image"], server["name"]) == ("localhost/srv:1", "tfserving")
    assert tcp(proxy) == [{"port": "http"}, {"port": "http"}]
    assert found.url.endswith("/v2/models/iris/infer")
    without = made(TF, "v2", [{"name": "iris", "image": "own:1"}])
    assert without.deployments[0]["spec"]["template"]["spec"]["containers"][0]["image"] == ""


def test_a_known_server_starts_without_a_model(pod):
    spec = pod({"name": "iris", "implementation": "TENSORFLOW_SERVER"}, "tensorflow")
    assert "initContainers" not in spec
