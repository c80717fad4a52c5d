"""What the chart seldon makes of its values, shape by shape and topic by topic."""

# ruff: noqa: S104, S108 - addresses and folders of the pods, not of this machine

import json

import pytest

SHAPES = ["server", "named", "tensorflow", "microservice"]
PREDICTOR = "angler-prod-v3-1a2b3c4d"


@pytest.fixture
def inner(render, one):
    """The only predictor of the SeldonDeployment."""

    def found(case="server", **over):
        [predictor] = one(render("seldon", case, **over), "SeldonDeployment")["spec"]["predictors"]
        return predictor

    return found


@pytest.fixture
def pods(inner):
    def found(case="server", **over):
        [component] = inner(case, **over)["componentSpecs"]
        return component["spec"]

    return found


@pytest.fixture
def model(pods):
    """The container that is named like the graph."""

    def found(case="server", **over):
        first = pods(case, **over)["containers"][0]
        assert first["name"] == "model"
        return first

    return found


def named(found, name):
    [one] = [each for each in found if each["name"] == name]
    return one


def file_of(manifests, one):
    return json.loads(one(manifests, "ConfigMap")["data"]["predictor.json"])


@pytest.mark.parametrize(
    ("shape", "protocol", "kinds"),
    [
        ("server", "v2", {"ConfigMap", "Service", "SeldonDeployment"}),
        ("named", "v2", {"Service", "SeldonDeployment"}),
        ("tensorflow", "tensorflow", {"ConfigMap", "Service", "SeldonDeployment"}),
        ("microservice", "seldon", {"ConfigMap", "Service", "SeldonDeployment"}),
    ],
)
def test_a_version_takes_three_objects_at_most(render, one, shape, protocol, kinds):
    manifests = render("seldon", shape)
    assert {m["kind"] for m in manifests} == kinds
    assert len(manifests) == len(kinds)
    assert one(manifests, "SeldonDeployment")["spec"]["protocol"] == protocol


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_operator_needs_to_act_as_one_would_think(inner, pods, shape):
    predictor = inner(shape)
    assert predictor["name"] == "main"
    assert predictor["replicas"] == 1
    assert "traffic" not in predictor
    assert predictor["annotations"]["seldon.io/no-engine"] == "true"
    assert predictor["graph"]["name"] == "model"
    containers = pods(shape)["containers"]
    assert containers[0]["name"] == "model"  # before any other: ports are counted in this order
    ports = [(p["name"], p["protocol"]) for p in containers[0]["ports"]]
    assert ports == [("metrics", "TCP"), ("http", "TCP"), ("grpc", "TCP")]
    for container in containers:
        assert all(port["protocol"] == "TCP" for port in container["ports"])
        assert "readinessProbe" in container
        assert "livenessProbe" in container


def test_containers_of_each_shape(pods):
    found = {shape: [c["name"] for c in pods(shape)["containers"]] for shape in SHAPES}
    assert found == {
        "server": ["model"],
        "named": ["model"],
        "tensorflow": ["model", "oip"],
        "microservice": ["model", "oip"],
    }
    inits = {s: [c["name"] for c in pods(s).get("initContainers", [])] for s in SHAPES}
    assert inits == {
        "server": ["artifact"],
        "named": [],
        "tensorflow": ["model-model-initializer"],
        "microservice": ["artifact"],
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_every_object_and_pod_says_whose_it_is(render, inner, shape):
    expected = {
        "app.kubernetes.io/name": "seldon",
        "app.kubernetes.io/instance": PREDICTOR,
        "app.kubernetes.io/version": "3",
        "app.kubernetes.io/component": "predictor",
        "app.kubernetes.io/part-of": "angler-prod",
        "schnitzel.dev/platform": "0f1e2d3c4b5a",
        "schnitzel.dev/deployment": "angler-prod",
        "schnitzel.dev/predictor": PREDICTOR,
    }
    assert inner(shape)["labels"] == expected  # managed-by is the operator's own there
    for manifest in render("seldon", shape):
        assert manifest["metadata"]["name"] == PREDICTOR
        managed = {"app.kubernetes.io/managed-by": "schnitzel"}
        assert manifest["metadata"]["labels"] == expected | managed
        annotations = manifest["metadata"]["annotations"]
        assert annotations["schnitzel.dev/model"] == "angler"
        assert annotations["schnitzel.dev/chart"] == "seldon-0.1.0"


def test_installed_by_hand_it_is_no_deployers(render, inner):
    for manifest in render("seldon", "by-hand"):
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert "schnitzel.dev/platform" not in manifest["metadata"]["labels"]
    assert "schnitzel.dev/platform" not in inner("by-hand")["labels"]


@pytest.mark.parametrize(
    ("shape", "target"),
    [("server", "http"), ("named", "http"), ("tensorflow", "oip"), ("microservice", "oip")],
)
def test_our_service_leads_to_our_server(render, one, pods, shape, target):
    service = one(render("seldon", shape), "Service")["spec"]
    assert service["selector"] == {"seldon-app": f"{PREDICTOR}-main"}
    [port] = service["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 8080, target)
    numbers = {p["name"]: p["containerPort"] for c in pods(shape)["containers"] for p in c["ports"]}
    assert numbers[target] == (9000 if shape == "named" else 8080)
    headless = one(render("seldon", shape, service={"headless": True}), "Service")["spec"]
    assert headless == service | {"clusterIP": "None"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mark_says_what_the_pods_are(inner, shape):
    def mark(**over):
        return inner(shape, **over)["annotations"]["schnitzel.dev/revision"]

    assert mark() == mark(replicas=5)
    assert mark() == mark(annotations={"a": "b"}, labels={"a": "b"})
    changes = [
        {"image": "other:1", "artifact": {"image": "other:1"}},
        {"probes": {"periodSeconds": 7}},
        {"podLabels": {"a": "b"}},
        {"podAnnotations": {"a": "b"}},
        {"nodeSelector": {"a": "b"}},
    ]
    marks = [mark(), *(mark(**change) for change in changes)]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("shape", ["server", "tensorflow", "microservice"])
def test_pinning_the_artifact_and_another_chart_version_restart_no_pod(inner, shape):
    assert inner(shape, artifact={"digest": ""}) == inner(shape, artifact={"digest": "c" * 64})
    assert "schnitzel.dev/chart" not in json.dumps(inner(shape))


def test_the_server_is_told_what_to_serve(render, one):
    told = file_of(render("seldon", "server"), one)
    assert told == {
        "predictor": PREDICTOR,
        "model": "angler",
        "model_version": "3",
        "environment": "prod",
        "artifact": "/mnt/model/model",
        "artifact_uri": "mlflow-artifacts:/1/models/m-0123456789abcdef/artifacts",
        "artifact_digest": "b" * 64,
        "tracking_uri": "http://mlflow.mlflow.svc:5000",
        "python": "/opt/env/bin/python",
        "host": "0.0.0.0",
        "port": 8080,
        "admin_port": 8081,
        "state_file": "/tmp/state.json",
        "termination_file": "/dev/termination-log",
        "max_body_bytes": 16777216,
        "timeout_seconds": 60,
        "drain_seconds": 5,
        "drain_whole": True,
        "batching": {"enabled": True, "max_rows": 256},
    }


@pytest.mark.parametrize("shape", ["server", "microservice"])
def test_the_server_itself_can_read_it(render, one, tmp_path, shape):
    from serving.predictor import read

    path = tmp_path / "predictor.json"
    path.write_text(json.dumps(file_of(render("seldon", shape), one)))
    assert (read(str(path)).model, read(str(path)).port) == ("angler", 8080)


def test_a_named_server_is_told_by_a_variable(model, inner):
    env = {each["name"]: each["value"] for each in model("named")["env"]}
    told = json.loads(env["SCHNITZEL_PREDICTOR"])
    assert (told["model"], told["artifact"]) == ("angler", "/mnt/models")
    graph = inner("named", artifact={"secretName": "mlflow"})["graph"]
    assert graph["implementation"] == "SCHNITZEL_SERVER"
    assert graph["envSecretRefName"] == "mlflow"
    address = "mlflow-artifacts:/1/models/m-0123456789abcdef/artifacts"
    assert graph["modelUri"] == f"{address}?tracking_uri=http%3A%2F%2Fmlflow.mlflow.svc%3A5000"
    assert graph["storageInitializerImage"] == model("named")["image"]
    plain = inner("named", artifact={"uri": "s3://a/b"})["graph"]
    assert plain["modelUri"] == "s3://a/b"


def test_a_named_server_says_only_what_the_operator_takes(model):
    taken = {"name", "image", "env", "ports", "readinessProbe", "livenessProbe", "resources"}
    assert set(model("named", resources={"cpu": "1"})) == taken


def test_tensorflow_serving_gets_one_version(model, pods, inner, render, one):
    container = model("tensorflow")
    assert container["args"] == [
        "--port=9500",
        "--rest_api_port=9000",
        "--model_name=model",
        "--model_base_path=/models/model",
        "--max_num_load_retries=0",
    ]
    assert "command" not in container
    assert "image" not in container  # the operator's config says it
    [mount, _] = container["volumeMounts"]
    assert mount == {
        "name": "model-provision-location",
        "mountPath": "/models/model/3",
        "subPath": "model/saved_model",
        "readOnly": True,
    }
    assert inner("tensorflow")["graph"]["implementation"] == "TENSORFLOW_SERVER"
    assert inner("tensorflow")["graph"]["modelUri"]
    [init] = pods("tensorflow")["initContainers"]
    assert {"name": "model-provision-location", "mountPath": "/mnt/models"} in init["volumeMounts"]
    named(pods("tensorflow")["volumes"], "model-provision-location")
    told = file_of(render("seldon", "tensorflow"), one)
    assert told["artifact"] == "/mnt/models/model"
    assert "python" not in told
    assert told["backend"] == {
        "kind": "tfserving",
        "url": "http://127.0.0.1:9000",
        "model": "model",
        "saved_model": "saved_model",
    }


def test_what_can_be_said_of_tensorflow_serving(model, pods):
    container = model("tensorflow-everything")
    assert container["image"] == "registry.example.com/tensorflow-serving:2.20"
    assert container["args"][-1] == "--enable_batching"
    assert container["volumeMounts"][0]["subPath"] == "model/tf/saved_model"
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}
    oip = named(pods("tensorflow-everything")["containers"], "oip")
    assert oip["image"] == "registry.example.com/platform-server:1"
    assert oip["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}
    assert [each["name"] for each in oip["env"]] == ["HOME"]
    names = [each["name"] for each in container["env"]]
    assert "TF_CPP_MIN_LOG_LEVEL" in names


def test_tensorflow_serving_ends_after_the_server_that_asks_it(model, pods):
    server = {"timeoutSeconds": 2.5, "drainSeconds": 3}
    hook = model("tensorflow", server=server)["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["/bin/sh", "-c", "/bin/sleep 6"]
    assert pods("tensorflow", server=server)["terminationGracePeriodSeconds"] == 6 + 15
    probe = model("tensorflow")["readinessProbe"]["httpGet"]
    assert probe == {"path": "/v1/models/model", "port": "http"}


def test_the_server_needs_no_shell_to_end(model, pods):
    hook = model("server")["lifecycle"]["preStop"]
    assert hook == {"httpGet": {"path": "/v2/health/live", "port": "http"}}
    assert pods("server")["terminationGracePeriodSeconds"] == 75
    assert pods("named")["terminationGracePeriodSeconds"] == 85


def test_the_microservice_takes_requests_while_routes_go_and_the_server_outlives_it(
    model, pods, render, one
):
    server = {"drainSeconds": 7, "timeoutSeconds": 20}
    hook = model("microservice", server=server)["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["/opt/seldon/bin/python", "-c", "import time; time.sleep(7)"]
    assert file_of(render("seldon", "microservice", server=server), one)["drain_seconds"] == 12
    assert pods("microservice", server=server)["terminationGracePeriodSeconds"] == 7 + 20 + 15
    assert file_of(render("seldon", "server", server=server), one)["drain_seconds"] == 7


def test_the_microservice_asks_the_server_over_a_socket_in_a_folder_of_both(pods):
    spec = pods("microservice")
    microservice, server = spec["containers"]
    for container in (microservice, server):
        env = {each["name"]: each["value"] for each in container["env"]}
        assert env["SCHNITZEL_SOCKET"] == "/run/schnitzel/server.sock"
        assert {"name": "socket", "mountPath": "/run/schnitzel"} in container["volumeMounts"]
    mounted = {each["name"] for each in microservice["volumeMounts"]}
    assert "model" not in mounted
    assert microservice["readinessProbe"]["httpGet"]["path"] == "/health/status"


@pytest.mark.parametrize("case", ["server", "tensorflow", "microservice", "everything", "by-hand"])
def test_pods_meet_the_restricted_standard(pods, case):
    spec = pods(case)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    folders = [{m["name"]: m["mountPath"] for m in c["volumeMounts"]} for c in spec["containers"]]
    temporary = [name for mounts in folders for name, path in mounts.items() if path == "/tmp"]
    assert len(set(temporary)) == len(folders)  # each its own


def test_parameters_are_the_graphs(inner):
    assert inner("everything")["graph"]["parameters"] == [
        {"name": "depth", "value": "3", "type": "INT"},
        {"name": "flag", "value": "y", "type": "STRING"},
    ]


def test_a_disruption_budget_knows_the_pods(render, one):
    budget = one(render("seldon", "everything"), "PodDisruptionBudget")["spec"]
    predictor = "fraud-detector-staging-v12-9f8e7d6c"
    assert budget["selector"]["matchLabels"] == {"seldon-app": f"{predictor}-main"}
    assert budget["maxUnavailable"] == "50%"


def test_metrics_are_asked_at_our_server(inner):
    ports = {shape: inner(shape)["annotations"]["prometheus.io/port"] for shape in SHAPES}
    assert ports == {
        "server": "8080",
        "named": "9000",
        "tensorflow": "8080",
        "microservice": "8080",
    }
    assert inner("everything")["annotations"]["prometheus.io/port"] == "6000"


def test_a_version_that_loads_slowly_is_not_one_that_is_stuck(inner, model):
    slow = inner(probes={"startupSeconds": 3600})
    assert slow["progressDeadlineSeconds"] == 4200
    probe = model(probes={"periodSeconds": 3})["readinessProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (3, 4)
    assert "startupProbe" not in model()


@pytest.mark.parametrize("shape", SHAPES)
def test_names_fit(render, one, shape):
    """What the operator makes of the longest predictor's name, as Services and label values."""
    longest = "a" * 50
    service = one(render("seldon", shape, predictor=longest), "Service")
    assert len(f"{longest}-main-model") <= 63
    assert service["spec"]["selector"] == {"seldon-app": f"{longest}-main"}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_platforms_monitor_finds_our_server_and_no_other(render, one, inner, pods, shape):
    """Of all ports that it looks at, one is where the annotation says, and it is our server's."""
    monitor = one(render("schnitzel", "everything"), "PodMonitor")["spec"]
    for endpoint in monitor["podMetricsEndpoints"]:
        [rule] = endpoint["relabelings"]
        assert (rule["action"], rule["sourceLabels"], rule["targetLabel"]) == (
            "keepequal",
            ["__meta_kubernetes_pod_annotation_prometheus_io_port"],
            "__meta_kubernetes_pod_container_port_number",
        )
    looked_at = {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]}
    said = inner(shape)["annotations"]["prometheus.io/port"]
    [found] = [
        container["name"]
        for container in pods(shape)["containers"]
        for port in container["ports"]
        if port["name"] in looked_at and str(port["containerPort"]) == said
    ]
    assert found == ("oip" if shape in ("tensorflow", "microservice") else "model")
