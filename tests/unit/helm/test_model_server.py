"""What the chart model-server makes of its values, topic by topic."""

# ruff: noqa: S104, S108 - addresses and folders of the pods, not of this machine

import json

import pytest


@pytest.fixture
def pods(render, one):
    """The pods' spec of a predictor rendered with some values."""

    def spec(case="default", **over):
        found = one(render("model-server", case, **over), "Deployment")
        return found["spec"]["template"]["spec"]

    return spec


@pytest.fixture
def container(pods):
    def spec(**over):
        [found] = pods(**over)["containers"]
        return found

    return spec


def kinds(manifests):
    return [manifest["kind"] for manifest in manifests]


def test_a_version_without_wishes_takes_three_objects(render):
    assert kinds(render("model-server")) == ["ConfigMap", "Service", "Deployment"]


def test_all_that_can_be_asked_for_takes_five(render):
    assert sorted(kinds(render("model-server", "everything"))) == [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Service",
    ]


def test_every_object_and_pod_says_whose_it_is(render, one):
    manifests = render("model-server", "everything")
    template = one(manifests, "Deployment")["spec"]["template"]
    predictor = "fraud-detector-staging-v12-9f8e7d6c"
    for owner in [*manifests, template]:
        labels = owner["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "model-server"
        assert labels["app.kubernetes.io/instance"] == predictor
        assert labels["app.kubernetes.io/version"] == "12"
        assert labels["app.kubernetes.io/component"] == "predictor"
        assert labels["app.kubernetes.io/part-of"] == "fraud-detector-staging-0123456789ab"
        assert labels["app.kubernetes.io/managed-by"] == "schnitzel"
        assert labels["schnitzel.dev/platform"] == "0f1e2d3c4b5a"
        assert labels["schnitzel.dev/deployment"] == "fraud-detector-staging-0123456789ab"
        assert labels["schnitzel.dev/predictor"] == predictor
    for manifest in manifests:
        assert manifest["metadata"]["name"] == predictor
        assert manifest["metadata"]["namespace"] == "somewhere"
        assert manifest["metadata"]["labels"]["team"] == "fraud"
        annotations = manifest["metadata"]["annotations"]
        assert annotations["schnitzel.dev/model"] == 'Fraud "Detector" Ω'
        assert annotations["schnitzel.dev/environment"] == "staging"
        assert annotations["schnitzel.dev/digest"] == "9f8e7d6c"
        assert annotations["schnitzel.dev/chart"] == "model-server-0.2.0"
        assert annotations["contact"] == "fraud@example.com"


def test_selectors_name_only_what_never_changes(render, one):
    manifests = render("model-server")
    selector = {
        "schnitzel.dev/platform": "0f1e2d3c4b5a",
        "schnitzel.dev/predictor": "angler-prod-v3-1a2b3c4d",
    }
    assert one(manifests, "Deployment")["spec"]["selector"]["matchLabels"] == selector
    assert one(manifests, "Service")["spec"]["selector"] == selector


def test_installed_by_hand_it_is_no_deployers(render, one):
    manifests = render("model-server", "by-hand")
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert "schnitzel.dev/platform" not in labels
        assert manifest["metadata"]["name"] == "release"
        assert manifest["metadata"]["annotations"]["schnitzel.dev/environment"] == "somewhere"
    selector = {"schnitzel.dev/predictor": "release"}
    assert one(manifests, "Service")["spec"]["selector"] == selector


def test_the_server_is_told_what_to_serve(render, one):
    [text] = one(render("model-server", "everything"), "ConfigMap")["data"].values()
    assert json.loads(text) == {
        "predictor": "fraud-detector-staging-v12-9f8e7d6c",
        "model": 'Fraud "Detector" Ω',
        "model_version": "12",
        "environment": "staging",
        "artifact": "/mnt/model/model",
        "artifact_uri": "s3://models/fraud/12",
        "artifact_digest": "",
        "tracking_uri": "",
        "python": "/opt/other/bin/python",
        "host": "0.0.0.0",
        "port": 8080,
        "admin_port": 8081,
        "state_file": "/tmp/state.json",
        "termination_file": "/dev/termination-log",
        "max_body_bytes": 104857600,
        "timeout_seconds": 90.5,
        "drain_seconds": 12,
        "drain_whole": True,
        "batching": {"enabled": False, "max_rows": 1000000},
        "env": ["FLAG", "EMPTY", "TOKEN", "HOME"],
        "input": "mlflow",
    }


def test_the_server_itself_can_read_it(render, one, tmp_path):
    from serving.predictor import read

    text = one(render("model-server"), "ConfigMap")["data"]["predictor.json"]
    path = tmp_path / "predictor.json"
    path.write_text(text)
    predictor = read(str(path))
    assert (predictor.model, predictor.model_version, predictor.port) == ("angler", "3", 8080)


def test_pinning_the_artifact_restarts_no_pod(render, one):
    before = render("model-server", artifact={"digest": ""})
    after = render("model-server", artifact={"digest": "c" * 64})
    assert one(before, "ConfigMap") != one(after, "ConfigMap")
    assert one(before, "Deployment") == one(after, "Deployment")


def test_another_chart_version_restarts_no_pod(render, one, folder, tmp_path, values_of):
    from shutil import copytree

    from deployer.targets.kubernetes.render.charts import Charts

    copytree(folder / "model-server", tmp_path / "model-server")
    path = tmp_path / "model-server" / "Chart.yaml"
    path.write_text(path.read_text().replace("version: 0.2.0", "version: 0.3.0"))
    newer = Charts(tmp_path).render("model-server", "x", "somewhere", values_of("model-server"))
    now = one(render("model-server"), "Deployment")["spec"]["template"]
    assert one(newer, "Deployment")["spec"]["template"] == now
    annotations = one(newer, "Deployment")["metadata"]["annotations"]
    assert annotations["schnitzel.dev/chart"] == "model-server-0.3.0"


@pytest.mark.parametrize("case", ["default", "everything", "by-hand"])
def test_pods_meet_the_restricted_standard(pods, case):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    spec = pods(case)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["automountServiceAccountToken"] is False
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert {next(iter(set(v) - {"name"})) for v in spec["volumes"]} <= {"projected", "emptyDir"}


def test_only_the_init_container_may_write_the_model(pods):
    spec = pods()
    [init], [server] = spec["initContainers"], spec["containers"]
    mounts = {
        container["name"]: {
            m["mountPath"]: m.get("readOnly", False) for m in container["volumeMounts"]
        }
        for container in (init, server)
    }
    assert mounts["artifact"] == {"/etc/schnitzel": True, "/mnt/model": False, "/tmp": False}
    assert mounts["server"] == {"/etc/schnitzel": True, "/mnt/model": True, "/tmp": False}


def test_folders_have_sizes(pods):
    spec = pods(volumes={"model": "50Gi"})
    sizes = {v["name"]: v["emptyDir"]["sizeLimit"] for v in spec["volumes"] if "emptyDir" in v}
    assert sizes == {"model": "50Gi", "tmp": "2Gi"}


def test_a_service_has_an_address_of_its_own_or_not(render, one):
    by_hand = one(render("model-server"), "Service")["spec"]
    assert "clusterIP" not in by_hand
    headless = one(render("model-server", service={"headless": True}), "Service")["spec"]
    assert headless == by_hand | {"clusterIP": "None"}
    [port] = headless["ports"]  # DNS leads to the pods themselves: their port is the Service's
    assert port["port"] == 8080


@pytest.mark.parametrize("chart", ["model-server", "tfserving"])
def test_what_a_server_tells_about_itself_is_at_a_port_that_no_service_has(render, one, chart):
    manifests = render(chart)
    file = json.loads(one(manifests, "ConfigMap")["data"]["predictor.json"])
    [server] = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert ports == {"http": file["port"], "admin": file["admin_port"]}
    for manifest in manifests:
        if manifest["kind"] == "Service":
            found = [(each["port"], each["targetPort"]) for each in manifest["spec"]["ports"]]
            assert all({"admin", file["admin_port"]}.isdisjoint(each) for each in found)
    assert {probe["httpGet"]["port"] for name, probe in server.items() if "Probe" in name} == {
        "http"
    }


def test_an_image_of_the_teams_own_does_not_fetch_the_artifact(pods):
    spec = pods(image="team/own:1", artifact={"image": "platform/server:1"})
    [init], [server] = spec["initContainers"], spec["containers"]
    assert (init["image"], server["image"]) == ("platform/server:1", "team/own:1")
    [init] = pods(image="by/hand:1")["initContainers"]
    assert init["image"] == "by/hand:1"


LOST = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], LOST),
        ([{"key": "gpu", "operator": "Exists"}], LOST),
        ([{"key": LOST[0], "operator": "Exists", "tolerationSeconds": 600}], LOST[1:]),
        ([{"key": LOST[0], "operator": "Exists", "effect": "NoSchedule"}], LOST),
        ([{"operator": "Exists", "effect": "NoExecute"}], []),
        ([{"operator": "Exists"}], []),
    ],
)
def test_a_lost_node_is_left_soon_unless_the_tolerations_say_otherwise(pods, given, added):
    found = pods(tolerations=given)["tolerations"]
    assert found[: len(given)] == given
    assert [t["key"] for t in found[len(given) :]] == added
    for toleration in found[len(given) :]:
        assert toleration["tolerationSeconds"] == 30
        assert toleration["effect"] == "NoExecute"
    assert "tolerations" not in pods(nodeLostSeconds=None)


def test_credentials_of_the_artifact_reach_only_the_init_container(pods):
    spec = pods(artifact={"secretName": "s3"})
    [init], [server] = spec["initContainers"], spec["containers"]
    assert init["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "envFrom" not in server


def test_a_model_may_take_its_time_to_load(container):
    probe = container(probes={"startupSeconds": 900})["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 900


@pytest.mark.parametrize("chart", ["model-server", "tfserving"])
def test_the_answer_on_the_start_is_held_until_just_before_the_next_probe(render, one, chart):
    """A longer one would stretch the time that the model may take to load, by probes left out."""
    [server] = one(render(chart), "Deployment")["spec"]["template"]["spec"]["containers"]
    probe = server["startupProbe"]
    path, _, wait = probe["httpGet"]["path"].partition("?wait=")
    assert path == "/v2/health/ready"
    assert 0.9 <= float(wait) < probe["periodSeconds"] <= probe["timeoutSeconds"]


def test_readiness_is_the_models(container):
    probe = container()["readinessProbe"]
    assert probe["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert probe["periodSeconds"] == 5


@pytest.mark.parametrize(("silent", "allowed"), [(40, 40), (120, 120), (121, 140)])
def test_a_server_that_is_busy_is_left_alone(container, silent, allowed):
    probe = container(probes={"silentSeconds": silent})["livenessProbe"]
    assert probe["httpGet"]["path"] == "/v2/health/live"
    assert probe["periodSeconds"] * probe["failureThreshold"] == allowed


@pytest.mark.parametrize(
    ("server", "asked", "grace"),
    [
        ({}, None, 75),
        ({"timeoutSeconds": 0.5, "drainSeconds": 0}, None, 11),
        ({"timeoutSeconds": 3600, "drainSeconds": 3600}, None, 7210),
        ({}, 30, 30),
    ],
)
def test_a_pod_may_finish_its_requests(pods, server, asked, grace):
    spec = pods(server=server, terminationGracePeriodSeconds=asked)
    assert spec["terminationGracePeriodSeconds"] == grace
    assert "lifecycle" not in spec["containers"][0]


def test_a_rollout_never_takes_a_pod_away_first(render, one):
    spec = one(render("model-server"), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["revisionHistoryLimit"] == 2
    slow = one(render("model-server", probes={"startupSeconds": 3600}), "Deployment")["spec"]
    assert slow["progressDeadlineSeconds"] > 3600


def test_what_is_not_asked_for_is_not_promised(pods):
    spec = pods()
    assert all("resources" not in c for c in [*spec["initContainers"], *spec["containers"]])


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        ({"cpu": "500m"}, {"cpu": "500m"}, None),
        ({"cpu": "500m", "limitCpu": True}, {"cpu": "500m"}, {"cpu": "500m"}),
        ({"memory": "2Gi"}, {"memory": "2Gi"}, {"memory": "2Gi"}),
        ({"gpu": 2}, {"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "2"}),
        (
            {"cpu": "1", "memory": "1Gi", "gpu": 1, "gpuResource": "amd.com/gpu"},
            {"cpu": "1", "memory": "1Gi", "amd.com/gpu": "1"},
            {"memory": "1Gi", "amd.com/gpu": "1"},
        ),
    ],
)
def test_resources_are_promised_and_bounded(pods, asked, requests, limits):
    spec = pods(resources=asked)
    found = spec["containers"][0]["resources"]
    assert found["requests"] == requests
    assert found.get("limits") == limits
    gpu = asked.get("gpuResource", "nvidia.com/gpu")
    init = spec["initContainers"][0].get("resources", {"requests": {}})
    assert init["requests"] == {k: v for k, v in requests.items() if k != gpu}


def test_replicas_are_the_autoscalers_where_there_is_one(render, one):
    scaling = {"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 60}
    manifests = render("model-server", autoscaling=scaling, resources={"cpu": "1"})
    assert "replicas" not in one(manifests, "Deployment")["spec"]
    spec = one(manifests, "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
    assert spec["scaleTargetRef"]["name"] == "angler-prod-v3-1a2b3c4d"
    assert spec["metrics"][0]["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 60,
    }
    assert one(render("model-server", replicas=3), "Deployment")["spec"]["replicas"] == 3


@pytest.mark.parametrize("budget", [{"minAvailable": 1}, {"maxUnavailable": "50%"}])
def test_a_disruption_budget_is_as_asked(render, one, budget):
    spec = one(render("model-server", disruptionBudget=budget), "PodDisruptionBudget")["spec"]
    assert budget.items() <= spec.items()
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert "schnitzel.dev/predictor" in spec["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("spread", "key"),
    [("hostname", "kubernetes.io/hostname"), ("zone", "topology.kubernetes.io/zone")],
)
def test_pods_keep_apart_where_possible(pods, spread, key):
    [constraint] = pods(spread=spread)["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["whenUnsatisfiable"]) == (key, "ScheduleAnyway")


def test_pods_go_where_they_are_sent(pods):
    spec = pods("everything")
    assert spec["nodeSelector"] == {"disk": "fast", "true": "false"}
    assert spec["tolerations"][0]["tolerationSeconds"] == 300000000
    assert spec["priorityClassName"] == "serving"
    assert spec["serviceAccountName"] == "models"
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "other"}]


def test_variables_come_from_values_and_secrets(container):
    env = [
        {"name": "FLAG", "value": "true"},
        {"name": "EMPTY", "value": ""},
        {"name": "TOKEN", "secret": "tokens", "key": "token"},
    ]
    reference = {"secretKeyRef": {"name": "tokens", "key": "token"}}
    assert container(env=env)["env"] == [
        {"name": "HOME", "value": "/tmp"},
        {"name": "FLAG", "value": "true"},
        {"name": "EMPTY", "value": ""},
        {"name": "TOKEN", "valueFrom": reference},
    ]


def test_a_home_of_its_own_takes_the_place_of_ours(container):
    env = [{"name": "HOME", "value": "/tmp/home"}]
    assert container(env=env)["env"] == env


def test_a_private_authority_is_trusted_by_both_containers(pods):
    spec = pods(trustBundle={"configMap": "ca", "key": "bundle.pem"})
    variable = {"name": "SSL_CERT_FILE", "value": "/etc/schnitzel/ca/ca.crt"}
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert variable in container["env"]
    [volume] = [v for v in spec["volumes"] if v["name"] == "configuration"]
    assert volume["projected"]["sources"][1]["configMap"] == {
        "name": "ca",
        "items": [{"key": "bundle.pem", "path": "ca/ca.crt"}],
    }


def test_pods_can_be_scraped_unless_somebody_says_no(render, one):
    def annotations(**over):
        deployment = one(render("model-server", **over), "Deployment")
        return deployment["spec"]["template"]["metadata"]["annotations"]

    assert annotations()["prometheus.io/scrape"] == "true"
    assert annotations()["prometheus.io/port"] == "8080"
    assert annotations(podAnnotations={"prometheus.io/scrape": "false", "note": "x"}) == {
        "prometheus.io/scrape": "false",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
        "note": "x",
    }
