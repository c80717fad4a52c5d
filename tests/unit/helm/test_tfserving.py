"""What the chart tfserving makes of its values, topic by topic.

What it shares with model-server (names, labels, where pods go) is held against that chart.
"""

import json

import pytest

MODEL = 'Fraud "Detector" Ω'


@pytest.fixture
def pods(render, one):
    """The pods' spec of a predictor rendered with some values."""

    def spec(case="default", **over):
        found = one(render("tfserving", case, **over), "Deployment")
        return found["spec"]["template"]["spec"]

    return spec


@pytest.fixture
def sidecar(pods):
    def spec(case="default", **over):
        [_, found] = pods(case, **over)["initContainers"]
        assert found["name"] == "tfserving"
        return found

    return spec


@pytest.fixture
def files(render, one):
    def data(case="default", **over):
        return one(render("tfserving", case, **over), "ConfigMap")["data"]

    return data


@pytest.mark.parametrize("case", ["default", "everything", "by-hand"])
def test_objects_are_called_and_labelled_as_those_of_model_server(render, case):
    ours, theirs = render("tfserving", case), render("model-server", case)
    assert [m["kind"] for m in ours] == [m["kind"] for m in theirs]
    for our, their in zip(ours, theirs, strict=True):
        for metadata in (our["metadata"], their["metadata"]):
            assert metadata["labels"].pop("app.kubernetes.io/name")
            assert metadata["annotations"].pop("schnitzel.dev/chart")
        assert our["metadata"] == their["metadata"]


def test_where_pods_go_is_as_in_model_server(render, one):
    ours, theirs = (
        one(render(chart, "everything"), "Deployment")["spec"]
        for chart in ("tfserving", "model-server")
    )
    for field in ("selector", "strategy", "progressDeadlineSeconds", "revisionHistoryLimit"):
        assert ours[field] == theirs[field]
    for metadata in (spec["template"]["metadata"] for spec in (ours, theirs)):
        metadata["labels"].pop("app.kubernetes.io/name")
    assert ours["template"]["metadata"] == theirs["template"]["metadata"]
    both = [spec["template"]["spec"] for spec in (ours, theirs)]
    for spec in both:
        for field in ("initContainers", "containers", "shareProcessNamespace"):
            spec.pop(field, None)
        [configuration] = [v for v in spec["volumes"] if v["name"] == "configuration"]
        del configuration["projected"]["sources"][0]["configMap"]["items"]
    assert both[0] == both[1]


def test_tensorflow_serving_starts_before_the_front_and_ends_after_it(pods):
    spec = pods()
    assert [c["name"] for c in spec["initContainers"]] == ["artifact", "tfserving"]
    assert spec["initContainers"][1]["restartPolicy"] == "Always"
    assert "restartPolicy" not in spec["initContainers"][0]
    assert [c["name"] for c in spec["containers"]] == ["server"]


def test_a_signal_ends_tensorflow_serving_which_has_no_handler_for_it(pods):
    assert pods()["shareProcessNamespace"] is True


def test_the_saved_model_is_its_version_without_a_copy(sidecar, files):
    mount = {"name": "model", "readOnly": True}
    assert sidecar()["volumeMounts"][1] == mount | {
        "mountPath": "/models/model/3",
        "subPath": "model/saved_model",
    }
    assert sidecar("everything")["volumeMounts"][1] == mount | {
        "mountPath": "/models/model/12",
        "subPath": "model/exported/saved_model",
    }
    assert 'base_path: "/models/model"' in files()["models.config"]


def test_the_front_sees_no_model(pods):
    [server] = pods()["containers"]
    assert [mount["name"] for mount in server["volumeMounts"]] == ["configuration", "tmp"]


def test_arguments_and_files_belong_together(pods, sidecar, files):
    for case in ("default", "everything"):
        arguments = dict(a.removeprefix("--").split("=", 1) for a in sidecar(case)["args"])
        assert (arguments["port"], arguments["rest_api_port"]) == ("8500", "8501")
        assert arguments["max_num_load_retries"] == "0"
        [configuration] = [v for v in pods(case)["volumes"] if v["name"] == "configuration"]
        items = configuration["projected"]["sources"][0]["configMap"]["items"]
        mounted = {f"/etc/schnitzel/{item['path']}": item["key"] for item in items}
        named = {mounted.pop(v) for k, v in arguments.items() if k.endswith("_file")}
        assert named == {"models.config", "monitoring.config", "batching.config"}
        assert mounted == {"/etc/schnitzel/predictor.json": "predictor.json"}
        assert set(files(case)) == named | {"predictor.json"}
    assert arguments["rest_api_timeout_in_ms"] == "90500"
    assert sidecar("everything")["args"][-2:] == [
        "--tensorflow_intra_op_parallelism=2",
        "--enable_profiler=false",
    ]


def test_without_batching_nothing_is_said_of_it(pods, sidecar, files):
    over = {"server": {"batching": {"enabled": False}}}
    assert "batching.config" not in files(**over)
    assert not [a for a in sidecar(**over)["args"] if "batching" in a]
    assert "batching.config" not in json.dumps(pods(**over)["volumes"])


def test_batches_are_as_the_spec_says(files):
    assert files()["batching.config"].splitlines() == [
        "max_batch_size { value: 100000 }",
        "enable_large_batch_splitting { value: true }",
        "max_execution_batch_size { value: 256 }",
        "batch_timeout_micros { value: 0 }",
        "max_enqueued_batches { value: 100 }",
    ]
    assert files("everything")["batching.config"].splitlines() == [
        "max_batch_size { value: 5000 }",
        "enable_large_batch_splitting { value: true }",
        "max_execution_batch_size { value: 512 }",
        "batch_timeout_micros { value: 2000 }",
        "max_enqueued_batches { value: 1000000 }",
        "num_batch_threads { value: 8 }",
        "allowed_batch_sizes: 16",
        "allowed_batch_sizes: 64",
        "allowed_batch_sizes: 512",
    ]


def test_the_version_is_pinned_and_labelled(files):
    text = files()["models.config"]
    assert "model_version_policy { specific { versions: 3 } }" in text
    assert text.count("version_labels") == 1
    assert 'version_labels { key: "prod" value: 3 }' in text
    text = files("everything")["models.config"]
    assert 'name: "Fraud \\"Detector\\" Ω"' in text
    assert 'version_labels { key: "stable" value: 12 }' in text
    assert 'version_labels { key: "v12.0" value: 12 }' in text


def test_texts_cannot_become_other_fields(files):
    text = files(model='x" }\n config { name "y\\')["models.config"]
    assert 'name: "x\\" }\\n config { name \\"y\\\\"\n' in text


def test_the_front_is_told_whom_to_ask(files):
    front = json.loads(files("everything")["predictor.json"])
    assert front["backend"] == {
        "kind": "tfserving",
        "url": "http://127.0.0.1:8501",
        "model": MODEL,
        "saved_model": "exported/saved_model",
    }
    assert (front["model"], front["model_version"]) == (MODEL, "12")
    assert (front["timeout_seconds"], front["drain_whole"]) == (90.5, True)
    assert "python" not in front


def test_the_front_itself_can_read_it(files, tmp_path):
    from serving.predictor import Sidecar, read

    path = tmp_path / "predictor.json"
    path.write_text(files()["predictor.json"])
    predictor = read(str(path))
    assert predictor.backend == Sidecar("tfserving", "http://127.0.0.1:8501", "angler")
    assert predictor.artifact == "/mnt/model/model"


def test_the_service_has_the_front_and_grpc(render, one, pods):
    ports = one(render("tfserving"), "Service")["spec"]["ports"]
    assert [(p["name"], p["port"], p["targetPort"]) for p in ports] == [
        ("http", 8080, "http"),
        ("grpc", 8500, 8500),
    ]
    assert ports[1]["appProtocol"] == "kubernetes.io/h2c"
    [server] = pods()["containers"]
    assert [(p["name"], p["containerPort"]) for p in server["ports"]] == [
        ("http", 8080),
        ("admin", 8081),
    ]


def test_tensorflow_serving_has_started_when_its_model_is_there(sidecar):
    its = sidecar("everything")
    path = "/v1/models/Fraud%20%22Detector%22%20%CE%A9"
    assert its["startupProbe"]["httpGet"] == {"path": path, "port": "rest"}
    assert (its["startupProbe"]["periodSeconds"], its["startupProbe"]["failureThreshold"]) == (
        1,
        900,
    )
    assert its["livenessProbe"]["httpGet"] == its["startupProbe"]["httpGet"]
    assert its["livenessProbe"]["failureThreshold"] * its["livenessProbe"]["periodSeconds"] == 300
    assert {"name": "rest", "containerPort": 8501, "protocol": "TCP"} in its["ports"]


def test_resources_are_tensorflow_servings_and_the_front_has_its_own(pods):
    spec = pods(resources={"cpu": "2", "memory": "4Gi", "gpu": 1})
    artifact, tfserving = spec["initContainers"]
    requests = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert tfserving["resources"]["requests"] == requests
    assert artifact["resources"]["requests"] == {"cpu": "2", "memory": "4Gi"}
    [server] = spec["containers"]
    assert server["resources"] == {
        "requests": {"cpu": "100m", "memory": "512Mi"},
        "limits": {"memory": "512Mi"},
    }


def test_the_autoscaler_looks_at_tensorflow_serving(render, one):
    scaling = {"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 60}
    manifests = render("tfserving", autoscaling=scaling, resources={"cpu": "1"})
    [metric] = one(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["type"] == "ContainerResource"
    assert metric["containerResource"]["container"] == "tfserving"
    assert metric["containerResource"]["target"]["averageUtilization"] == 60


def test_variables_are_tensorflow_servings_and_secrets_the_fetchers(pods):
    spec = pods("everything")
    artifact, tfserving = spec["initContainers"]
    assert {each["name"] for each in tfserving["env"]} == {"FLAG", "EMPTY", "TOKEN", "HOME"}
    assert [each["name"] for each in spec["containers"][0]["env"]] == ["HOME"]
    assert artifact["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert [each["name"] for each in artifact["env"]] == ["HOME", "SSL_CERT_FILE"]
    assert artifact["image"] == "registry.example.com/fetch:1"
    assert pods()["initContainers"][0]["image"] == pods()["containers"][0]["image"]


def test_no_container_may_do_anything(pods):
    spec = pods("everything")
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_a_pod_may_end_in_its_own_time(pods):
    assert pods()["terminationGracePeriodSeconds"] == 75
    assert pods("everything")["terminationGracePeriodSeconds"] == 600


def test_pinning_the_artifact_restarts_no_pod(render, one):
    before = render("tfserving", artifact={"digest": ""})
    after = render("tfserving", artifact={"digest": "c" * 64})
    assert one(before, "ConfigMap") != one(after, "ConfigMap")
    assert one(before, "Deployment") == one(after, "Deployment")
