"""The stand-in of the operator: what it makes of a resource, line by line of what was measured."""

import json

import pytest
from standins.seldon import environment, objects, servers
from support.systems.seldon import env_of, ports_of

META = {"name": "sd", "namespace": "models", "uid": "u"}
INITIALIZER = "initializer:1"


@pytest.fixture
def made(resource):
    """The objects of a resource."""

    def make(found=None, *, config=servers.DEFAULTS, **over):
        found = found or resource(**over)
        found = found | {"metadata": META | found["metadata"]}
        return objects.wanted(found, config, INITIALIZER)

    return make


def named(found, name):
    [one] = [each for each in found if each["name"] == name]
    return one


def test_names_of_deployment_and_services(made):
    found = made()
    assert [d["metadata"]["name"] for d in found.deployments] == ["sd-main-0-model"]
    assert {s["metadata"]["name"] for s in found.services} == {"sd-main", "sd-main-model"}


def test_a_sidecar_makes_another_deployment(made, container):
    found = made(containers=[container(), container("oip")])
    assert [d["metadata"]["name"] for d in found.deployments] == ["sd-main-0-model-oip"]
    assert {s["metadata"]["name"] for s in found.services} == {"sd-main", "sd-main-model"}


def test_over_63_characters_the_name_is_a_hash(made, resource):
    long = resource(name="a" * 51)
    [deployment] = made(long).deployments
    assert deployment["metadata"]["name"].startswith("seldon-")
    assert len(deployment["metadata"]["name"]) == len("seldon-") + 32
    [fits] = made(resource(name="a" * 50)).deployments
    assert fits["metadata"]["name"] == f"{'a' * 50}-main-0-model"


def test_services_have_two_ports_and_know_their_pods(made):
    for service in made().services:
        ports = [(p["name"], p["port"], p["targetPort"]) for p in service["spec"]["ports"]]
        assert ports == [("http", 9000, 9000), ("grpc", 9500, 9500)]
    first = named([s["metadata"] | s["spec"] for s in made().services], "sd-main")
    assert first["selector"] == {"seldon-app": "sd-main"}


def test_a_service_can_be_given_another_name(made):
    notes = {"seldon.io/no-engine": "true", "seldon.io/svc-name": "mine"}
    found = made(annotations=notes)
    assert {s["metadata"]["name"] for s in found.services} == {"mine", "sd-main-model"}


def test_labels_and_annotations(made):
    notes = {"seldon.io/no-engine": "true", "example.com/rev": "7"}
    found = made(labels={"example.com/model": "iris"}, annotations=notes, shadow=True)
    [deployment] = found.deployments
    template = deployment["spec"]["template"]["metadata"]
    for labels in (deployment["metadata"]["labels"], template["labels"]):
        assert labels == {
            "seldon-deployment-id": "sd",
            "seldon-app": "sd-main",
            "seldon-app-svc-model": "sd-main-model",
            "seldon.io/model": "true",
            "app": "sd-main-0-model",
            "app.kubernetes.io/managed-by": "seldon-core",
            "fluentd": "true",
            "version": "main",
            "example.com/model": "iris",
            "seldon.io/shadow": "true",
        }
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/path": "/prometheus"}
    assert template["annotations"] == notes | scraped
    assert deployment["metadata"]["annotations"] == notes
    for service in found.services:
        assert "example.com/model" not in service["metadata"]["labels"]
        assert service["metadata"]["annotations"] == notes


def test_strategy_and_deadline(made):
    [deployment] = made().deployments
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": "25%",
        "maxUnavailable": 0,
    }
    assert deployment["spec"]["progressDeadlineSeconds"] == 600
    [other] = made(progressDeadlineSeconds=40).deployments
    assert other["spec"]["progressDeadlineSeconds"] == 40


def test_what_is_absent_is_added(pod):
    spec = pod(containers=[{"name": "model", "image": "own:1"}])
    [model] = spec["containers"]
    assert ports_of(model) == [("metrics", 6000), ("http", 9000), ("grpc", 9500)]
    assert model["livenessProbe"] == {
        "initialDelaySeconds": 60,
        "periodSeconds": 5,
        "tcpSocket": {"port": "http"},
    }
    assert model["readinessProbe"]["initialDelaySeconds"] == 20
    assert model["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/sh", "-c", "/bin/sleep 10"]
    assert spec["terminationGracePeriodSeconds"] == 20
    assert {"name": "seldon-podinfo", "mountPath": "/etc/podinfo"} in model["volumeMounts"]
    volume = named(spec["volumes"], "seldon-podinfo")
    assert volume["downwardAPI"]["items"][0]["path"] == "annotations"


def test_what_is_there_is_kept(pod, container):
    own = container(
        livenessProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 9},
        ports=[{"name": "http", "containerPort": 8080}],
    )
    [model] = pod(containers=[own])["containers"]
    for field in ("readinessProbe", "livenessProbe", "lifecycle"):
        assert model[field] == own[field]
    assert ports_of(model) == [("metrics", 6000), ("http", 8080), ("grpc", 9500)]


def test_an_own_port_replaces_the_default_everywhere(made, container):
    found = made(containers=[container(ports=[{"name": "http", "containerPort": 8080}])])
    for service in found.services:
        assert named(service["spec"]["ports"], "http")["port"] == 8080
    [model] = found.deployments[0]["spec"]["template"]["spec"]["containers"]
    assert env_of(model)["PREDICTIVE_UNIT_HTTP_SERVICE_PORT"] == "8080"
    assert ":8080/" in found.url


def test_variables_come_after_the_users(pod, container):
    graph = {"name": "model", "type": "MODEL"}
    graph["parameters"] = [{"name": "depth", "value": "3", "type": "INT"}]
    own = container(env=[{"name": "FOO", "value": "bar"}])
    [model] = pod(containers=[own], graph=graph, labels={"a": "b"})["containers"]
    assert [each["name"] for each in model["env"]] == [
        "FOO",
        "PREDICTIVE_UNIT_SERVICE_PORT",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        "MLSERVER_HTTP_PORT",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
        "MLSERVER_GRPC_PORT",
        "PREDICTIVE_UNIT_PARAMETERS",
        "PREDICTIVE_UNIT_ID",
        "MLSERVER_MODEL_NAME",
        "PREDICTIVE_UNIT_IMAGE",
        "PREDICTOR_ID",
        "PREDICTOR_LABELS",
        "SELDON_DEPLOYMENT_ID",
        "SELDON_EXECUTOR_ENABLED",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
        "MLSERVER_METRICS_PORT",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT",
        "MLSERVER_METRICS_ENDPOINT",
    ]
    found = env_of(model)
    assert json.loads(found["PREDICTIVE_UNIT_PARAMETERS"]) == graph["parameters"]
    assert json.loads(found["PREDICTOR_LABELS"])["a"] == "b"
    assert (found["PREDICTIVE_UNIT_ID"], found["PREDICTOR_ID"]) == ("model", "main")
    assert (found["SELDON_DEPLOYMENT_ID"], found["SELDON_EXECUTOR_ENABLED"]) == ("sd", "true")
    assert found["PREDICTIVE_UNIT_IMAGE"] == own["image"]
    assert found["PREDICTIVE_UNIT_METRICS_ENDPOINT"] == "/prometheus"


@pytest.mark.parametrize(
    "name",
    [
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
        "MLSERVER_HTTP_PORT",
        "MLSERVER_GRPC_PORT",
        "PREDICTIVE_UNIT_PARAMETERS",
        "MLSERVER_MODEL_URI",
    ],
)
def test_a_users_variable_of_these_names_wipes_the_users_others(pod, container, name):
    graph = {"name": "model", "modelUri": "s3://m"}
    graph["parameters"] = [{"name": "depth", "value": "3", "type": "INT"}]
    env = [{"name": "FOO", "value": "bar"}, {"name": name, "value": "1"}]
    [model] = pod(containers=[container(env=env)], graph=graph)["containers"]
    found = env_of(model)
    assert "FOO" not in found
    assert name not in found
    assert found["PREDICTOR_ID"] == "main"


def test_an_own_model_name_is_overridden(pod, container):
    own = container(env=[{"name": "MLSERVER_MODEL_NAME", "value": "mine"}])
    [model] = pod(containers=[own])["containers"]
    assert env_of(model)["MLSERVER_MODEL_NAME"] == "model"


def test_default_ports_are_counted_over_the_whole_resource(made, resource, container):
    found = resource(containers=[container("one")], graph={"name": "one"})
    second = resource(containers=[container("two")], graph={"name": "two"}, name="x")
    [predictor] = second["spec"]["predictors"]
    found["spec"]["predictors"].append(predictor | {"name": "other"})
    first, later = made(found).deployments
    [one] = first["spec"]["template"]["spec"]["containers"]
    [two] = later["spec"]["template"]["spec"]["containers"]
    assert ports_of(one) == [("metrics", 6000), ("http", 9000), ("grpc", 9500)]
    assert ports_of(two) == [("metrics", 6001), ("http", 9001), ("grpc", 9501)]
    found["spec"]["predictors"].reverse()
    [moved] = made(found).deployments[0]["spec"]["template"]["spec"]["containers"]
    assert ports_of(moved) == [("metrics", 6000), ("http", 9000), ("grpc", 9500)]


def test_the_same_name_gets_the_same_http_port(made, resource):
    found = resource()
    [predictor] = found["spec"]["predictors"]
    found["spec"]["predictors"].append(predictor | {"name": "other"})
    for deployment, metrics in zip(made(found).deployments, (6000, 6001), strict=True):
        [model] = deployment["spec"]["template"]["spec"]["containers"]
        assert ports_of(model) == [("metrics", metrics), ("http", 9000), ("grpc", 9500)]


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("v2", "/v2/models/model/infer"),
        ("kfserving", "/v2/models/model/infer"),
        ("seldon", "/api/v1.0/predictions"),
        ("tensorflow", "/v1/models/model:predict"),
    ],
)
def test_the_protocol_of_an_own_container_changes_only_the_address(made, protocol, path):
    found = made(protocol=protocol)
    assert found.url == f"http://sd-main.models.svc.cluster.local:9000{path}"
    assert found.deployments == made().deployments


def test_a_model_uri_adds_an_init_container(pod, container):
    graph = {"name": "model", "modelUri": "s3://bucket/m", "envSecretRefName": "s3"}
    spec = pod(graph=graph)
    [init] = spec["initContainers"]
    assert init["name"] == "model-model-initializer"
    assert init["args"] == ["s3://bucket/m", "/mnt/models"]
    assert init["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert init["resources"]["requests"] == {"cpu": "100m", "memory": "100Mi"}
    assert init["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert init["image"] == INITIALIZER
    [model] = spec["containers"]
    mount = named(model["volumeMounts"], "model-provision-location")
    assert (mount["mountPath"], mount["readOnly"]) == ("/mnt/models", True)
    assert "envFrom" not in model
    assert env_of(model)["MLSERVER_MODEL_URI"] == environment.MOUNT
    [init] = pod(graph=graph | {"storageInitializerImage": "own:1"})["initContainers"]
    assert init["image"] == "own:1"


def test_with_an_engine_there_is_a_second_container(made):
    found = made(annotations={})
    [deployment] = found.deployments
    names = [c["name"] for c in deployment["spec"]["template"]["spec"]["containers"]]
    assert names == ["model", "seldon-container-engine"]
    ports = {s["metadata"]["name"]: s["spec"]["ports"][0]["port"] for s in found.services}
    assert ports == {"sd-main": 8000, "sd-main-model": 9000}
    assert ":8000/" in found.url


def test_several_predictors_weights_land_nowhere(made, resource):
    def both(first, second):
        found = resource(traffic=first)
        [predictor] = found["spec"]["predictors"]
        found["spec"]["predictors"].append(predictor | {"name": "other", "traffic": second})
        return made(found)

    assert both(90, 10).deployments == both(10, 90).deployments
    assert both(90, 10).services == both(10, 90).services
    assert len(both(90, 10).services) == 4
    assert "//sd-main." in both(90, 10).url


def test_a_graph_that_names_no_container_gets_no_service(made):
    found = made(graph={"name": "other", "type": "MODEL"})
    assert (len(found.deployments), found.services, found.url) == (1, [], "")


def test_no_components_make_no_deployment(made):
    found = made(componentSpecs=None)
    assert (found.deployments, found.services) == ([], [])


def test_no_predictors_end_the_operator(made, resource):
    found = resource()
    found["spec"]["predictors"] = []
    with pytest.raises(IndexError):
        made(found)


def test_an_unknown_server_is_a_failure(made):
    with pytest.raises(servers.NoServer, match="Failed to get server config for X"):
        made(graph={"name": "model", "implementation": "X"}, componentSpecs=None)


def test_replicas_may_be_said_in_three_places_or_by_an_autoscaler(made, resource):
    def sizes(found):
        result = made(found)
        [deployment] = result.deployments
        return deployment["spec"].get("replicas"), result.unsized

    assert sizes(resource(replicas=3)) == (3, set())
    none = resource(replicas=None)
    assert sizes(none) == (None, {"sd-main-0-model"})
    none["spec"]["replicas"] = 2
    assert sizes(none) == (2, set())
    component = resource(replicas=None)
    component["spec"]["predictors"][0]["componentSpecs"][0]["replicas"] = 4
    assert sizes(component) == (4, set())
    scaled = resource(replicas=None)
    scaled["spec"]["predictors"][0]["componentSpecs"][0]["hpaSpec"] = {"maxReplicas": 2}
    assert sizes(scaled) == (None, set())
