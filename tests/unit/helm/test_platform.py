"""What the chart schnitzel makes of its values, topic by topic."""

# ruff: noqa: S104 - addresses and folders of the pods, not of this machine

import json
import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from deployer.config.settings import load

ROOT = Path(__file__).parents[3]


def kinds(manifests):
    return sorted(f"{m['kind']} {m['metadata']['name']}" for m in manifests)


@pytest.fixture
def settings(render, one):
    """platform.yaml in the ConfigMap."""

    def read(case="small", **over):
        found = one(render("schnitzel", case, **over), "ConfigMap", "-deployer")
        return yaml.safe_load(found["data"]["platform.yaml"])

    return read


@pytest.fixture
def deployer(render, one):
    """The spec of the Deployer's Deployment."""

    def read(case="small", **over):
        return one(render("schnitzel", case, **over), "Deployment", "-deployer")["spec"]

    return read


def variables(spec):
    [container] = spec["template"]["spec"]["containers"]
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container["env"]}


def test_a_small_platform_is_the_deployer_and_its_rights(render):
    name = "release-schnitzel-deployer"
    assert kinds(render("schnitzel")) == sorted(
        [
            f"ConfigMap {name}",
            "CustomResourceDefinition modeldeployments.schnitzel.dev",
            f"Deployment {name}",
            f"PersistentVolumeClaim {name}",
            f"Role {name}",
            f"Role {name}",
            f"RoleBinding {name}",
            f"RoleBinding {name}",
            f"Service {name}",
            f"ServiceAccount {name}",
        ]
    )


def test_a_release_that_is_called_schnitzel_is_not_called_so_twice(charts, values_of):
    manifests = charts.render("schnitzel", "schnitzel", "here", values_of("schnitzel"))
    assert "Service schnitzel-deployer" in kinds(manifests)


@pytest.mark.parametrize("case", ["small", "everything"])
def test_the_deployer_itself_can_read_its_settings(deployer, settings, case, tmp_path):
    path = tmp_path / "platform.yaml"
    path.write_text(yaml.safe_dump(settings(case)))
    given = {k: v for k, v in variables(deployer(case)).items() if isinstance(v, str)}
    given["SCHNITZEL_DEPLOYER__ALLOWED_HOSTS"] = given["SCHNITZEL_DEPLOYER__ALLOWED_HOSTS"].replace(
        "$(POD_IP)", "10.1.2.3"
    )
    loaded = load(given | {"SCHNITZEL_PLATFORM": str(path)})
    assert loaded.platform_id == "acme"
    assert loaded.deployer.host == "0.0.0.0"
    assert "10.1.2.3" in loaded.deployer.hosts
    assert set(loaded.environments) == {"staging", "prod"}


def test_settings_are_what_was_given_and_what_the_chart_knows(settings):
    found = settings("everything")
    assert found["deployer"] == {
        "host": "0.0.0.0",
        "port": 8443,
        "public_url": "https://deployer.example.com",
        "tokens_file": "/etc/schnitzel/secrets/tokens.json",
        "webhook_secret_ref": "file:/etc/schnitzel/secrets/webhook-secret",
        "database_ref": "env:SCHNITZEL_DATABASE_URL",
    }
    assert found["mlflow"] == {"url": "http://platform-mlflow.somewhere.svc:5000"}
    assert found["clusters"]["here"]["gateway"]["name"] == "public"


def test_changed_settings_restart_the_deployer(deployer):
    def annotation(**over):
        return deployer(**over)["template"]["metadata"]["annotations"]["schnitzel.dev/settings"]

    assert annotation() == annotation(resources={"cpu": "1"})
    assert annotation() != annotation(settings={"policy": {"max_retirements": 2}})


def test_it_is_asked_under_names_that_it_knows(deployer):
    hosts = json.loads(variables(deployer("everything"))["SCHNITZEL_DEPLOYER__ALLOWED_HOSTS"])
    assert hosts == [
        "$(POD_IP)",
        "platform-deployer",
        "platform-deployer.somewhere",
        "platform-deployer.somewhere.svc",
        "platform-deployer.somewhere.svc.cluster.local",
        "deployer.example.com",
    ]
    names = [v["name"] for v in deployer()["template"]["spec"]["containers"][0]["env"]]
    assert names.index("POD_IP") < names.index("SCHNITZEL_DEPLOYER__ALLOWED_HOSTS")


def test_no_secret_is_in_a_manifest(deployer, render):
    found = variables(deployer("everything"))
    assert found["SCHNITZEL_DATABASE_URL"] == {
        "secretKeyRef": {"name": "schnitzel-postgres", "key": "url"}
    }
    assert found["MLFLOW_PASSWORD"] == {"secretKeyRef": {"name": "mlflow", "key": "password"}}
    assert "Secret" not in {m["kind"] for m in render("schnitzel", "everything")}


def test_secrets_are_mounted_for_the_group_alone(deployer):
    volumes = deployer("everything")["template"]["spec"]["volumes"]
    [volume] = [v["projected"] for v in volumes if v["name"] == "configuration"]
    assert volume["defaultMode"] == 0o440
    paths = [i["path"] for s in volume["sources"] for v in s.values() for i in v.get("items", [])]
    assert paths == ["ca/ca.crt", "secrets/tokens.json", "secrets/webhook-secret"]


@pytest.mark.parametrize("case", ["small", "everything"])
def test_pods_meet_the_restricted_standard(render, case):
    for manifest in render("schnitzel", case):
        if manifest["kind"] != "Deployment":
            continue
        spec = manifest["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_only_the_deployer_has_a_token(render):
    for manifest in render("schnitzel", "everything"):
        if manifest["kind"] == "Deployment":
            spec = manifest["spec"]["template"]["spec"]
            wanted = manifest["metadata"]["name"] == "platform-deployer"
            assert spec["automountServiceAccountToken"] is wanted


KEPT = "get list watch create patch"
OWN = f"{KEPT} delete"
ROLE = {
    "": {
        "services": OWN,
        "configmaps": OWN,
        "pods": "list watch",
        "pods/log": "get",
        "events": "list create",
    },
    "schnitzel.dev": {"modeldeployments": KEPT, "modeldeployments/status": "patch"},
    "apps": {"deployments": OWN},
    "autoscaling": {"horizontalpodautoscalers": OWN},
    "policy": {"poddisruptionbudgets": OWN},
    "gateway.networking.k8s.io": {"httproutes": OWN},
}
LEASE = {"coordination.k8s.io": {"leases": "create get update"}}
BUILDS = {
    "": {"configmaps": "get list create update delete", "pods": "list", "pods/log": "get"},
    "batch": {"jobs": "get create delete"},
}


def rights(role):
    """What a Role grants: group -> resource -> verbs."""
    found = {}
    for rule in role["rules"]:
        for group, resource in ((g, r) for g in rule["apiGroups"] for r in rule["resources"]):
            verbs = found.setdefault(group, {}).setdefault(resource, [])
            verbs.extend(rule["verbs"])
    return {g: {r: " ".join(v) for r, v in rs.items()} for g, rs in found.items()}


def test_the_deployer_may_do_this_and_no_more(render):
    roles = [m for m in render("schnitzel", buildNamespace="builds") if m["kind"] == "Role"]
    found = {(r["metadata"]["namespace"], r["metadata"]["name"]): rights(r) for r in roles}
    name = "release-schnitzel-deployer"
    assert found == {
        ("prod", name): ROLE | LEASE,  # the first of the two, for there is one Lease
        ("staging", name): ROLE,
        ("builds", f"{name}-builds"): BUILDS,
    }


def test_namespaces_of_projects_need_a_cluster_role(render, one):
    environments = {"prod": {"namespace": "{project}-{environment}"}}
    manifests = render(
        "schnitzel",
        settings={"environments": environments},
        namespaces=["staging"],
        rbac={"clusterWide": True},
        buildNamespace="schnitzel-builds",
    )
    role = one(manifests, "ClusterRole")
    assert role["metadata"]["name"] == "somewhere-release-schnitzel-deployer"
    assert rights(role) == ROLE
    binding = one(manifests, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert rights(one(manifests, "Role")) == {**BUILDS, **LEASE}


@pytest.mark.parametrize("case", ["small", "everything"])
def test_nothing_is_granted_on_secrets_or_on_the_cluster(render, case):
    manifests = render("schnitzel", case)
    assert not [m for m in manifests if m["kind"].startswith("Cluster")]
    rules = chain.from_iterable(m["rules"] for m in manifests if m["kind"] == "Role")
    for rule in rules:
        assert "secrets" not in rule["resources"]
        assert "*" not in [*rule["resources"], *rule["verbs"], *rule["apiGroups"]]


def test_the_lease_is_changed_only_by_its_name(render):
    rules = [r for m in render("schnitzel") if m["kind"] == "Role" for r in m["rules"]]
    leases = [r for r in rules if r["resources"] == ["leases"]]
    assert [r.get("resourceNames") for r in leases] == [None, ["schnitzel-acme"]]
    assert leases[0]["verbs"] == ["create"]


def test_asking_pods_through_the_api_server_is_a_switch(render):
    def resources(**over):
        roles = [m for m in render("schnitzel", **over) if m["kind"] == "Role"]
        return {r for role in roles for rule in role["rules"] for r in rule["resources"]}

    assert "pods/proxy" not in resources()
    assert "pods/proxy" in resources(rbac={"proxy": True})


def test_pods_are_changed_only_where_they_consume_queues(render):
    def rights(**over):
        roles = [m for m in render("schnitzel", **over) if m["kind"] == "Role"]
        rules = chain.from_iterable(role["rules"] for role in roles)
        return {verb for rule in rules if rule["resources"] == ["pods"] for verb in rule["verbs"]}

    assert "patch" not in rights()
    brokers = {"default": {"secret": "rabbitmq"}}
    assert "patch" in rights(settings={"clusters": {"here": {"brokers": brokers}}})


def test_roles_are_bound_to_the_deployers_account(render):
    for case, account in (("small", "release-schnitzel-deployer"), ("everything", "somebody")):
        manifests = render("schnitzel", case)
        bindings = [m for m in manifests if m["kind"] == "RoleBinding"]
        roles = {
            (m["metadata"]["namespace"], m["metadata"]["name"])
            for m in manifests
            if m["kind"] == "Role"
        }
        assert {(b["metadata"]["namespace"], b["roleRef"]["name"]) for b in bindings} == roles
        for binding in bindings:
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": account, "namespace": "somewhere"}
            ]


def test_rights_can_be_somebody_elses_to_give(render):
    found = kinds(render("schnitzel", rbac={"create": False}, serviceAccount={"create": False}))
    assert not [kind for kind in found if kind.startswith(("Role", "ServiceAccount"))]


def test_one_deployer_keeps_its_history_on_a_volume(deployer, render, one):
    spec = deployer()
    assert spec["strategy"] == {"type": "Recreate"}
    [home] = [v for v in spec["template"]["spec"]["volumes"] if v["name"] == "home"]
    claim = one(render("schnitzel"), "PersistentVolumeClaim")
    assert home["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_claim_that_is_there_is_used(deployer, render):
    over = {"persistence": {"existingClaim": "mine"}}
    assert "PersistentVolumeClaim" not in {m["kind"] for m in render("schnitzel", **over)}
    [home] = [v for v in deployer(**over)["template"]["spec"]["volumes"] if v["name"] == "home"]
    assert home["persistentVolumeClaim"] == {"claimName": "mine"}


def test_a_new_deployer_stands_by_before_an_old_one_ends(deployer):
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    for spec in (deployer("everything"), deployer(persistence={"enabled": False})):
        assert spec["strategy"]["rollingUpdate"] == rolling


def test_two_deployers_need_no_volume(deployer, render, one):
    spec = deployer("everything")
    [home] = [v for v in spec["template"]["spec"]["volumes"] if v["name"] == "home"]
    assert home == {"name": "home", "emptyDir": {}}
    assert spec["template"]["spec"]["topologySpreadConstraints"]
    budget = one(render("schnitzel", "everything"), "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 1


def test_the_kind_stays_when_the_release_goes(render, one):
    def annotations(**over):
        found = one(render("schnitzel", **over), "CustomResourceDefinition")
        return found["metadata"].get("annotations")

    assert annotations() == {"helm.sh/resource-policy": "keep"}
    assert annotations(crds={"keep": False}) is None
    off = render("schnitzel", crds={"enabled": False})
    assert "CustomResourceDefinition" not in {m["kind"] for m in off}


def test_the_kind_is_the_one_that_stands_in_a_file_by_itself(render, one, folder):
    path = folder / "schnitzel" / "crd" / "modeldeployment.yaml"
    by_itself = yaml.safe_load(path.read_text())
    rendered = one(render("schnitzel", crds={"keep": False}), "CustomResourceDefinition")
    assert rendered == by_itself


def test_network_policies_say_who_may_ask(render, one):
    manifests = render("schnitzel", "everything")
    deployer = one(manifests, "NetworkPolicy", "-deployer")["spec"]["ingress"][0]
    assert deployer["from"][0] == {"podSelector": {}}
    assert len(deployer["from"]) == 2
    mlflow = one(manifests, "NetworkPolicy", "-mlflow")["spec"]["ingress"][0]
    [names] = [p["namespaceSelector"] for p in mlflow["from"] if "namespaceSelector" in p]
    assert names["matchExpressions"][0]["values"] == ["models-prod", "models-staging"]
    assert not [m for m in render("schnitzel") if m["kind"] == "NetworkPolicy"]


def test_monitors_find_the_deployer_and_the_model_servers(render, one):
    manifests = render("schnitzel", "everything")
    monitor = one(manifests, "ServiceMonitor")
    service = one(manifests, "Service", "-deployer")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    pods = one(manifests, "PodMonitor")["spec"]
    assert pods["namespaceSelector"]["matchNames"] == ["models-prod", "models-staging"]
    predictor = render("model-server", platform="acme")
    template = one(predictor, "Deployment")["spec"]["template"]
    assert pods["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_dashboards_ask_for_metrics_that_there_are(render, one):
    found = one(render("schnitzel", "everything"), "ConfigMap", "-dashboards")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(found["data"]) == {"schnitzel.json", "model-servers.json", "queues.json"}
    boards = [json.loads(text) for text in found["data"].values()]
    assert len({board["uid"] for board in boards}) == 3
    asked = {
        re.sub(
            r"_bucket$|_sum$|_count$|(?<=failures)_total$|(?<=rollbacks)_total$", "", name
        )  # the client adds these
        for board in boards
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"schnitzel_\w+", target["expr"])
    }
    sources = [
        "deployer/controller/metrics.py",
        "deployer/api/app.py",
        "serving/telemetry/instruments.py",
    ]
    sources += ["serving/front/server.py", "serving/backends/pool.py"]
    sources += ["serving/queue/counts.py", "serving/queue/door.py"]
    told = "".join((ROOT / name).read_text() for name in sources)
    assert asked <= set(re.findall(r'"(schnitzel_\w+)"', told))


def test_mlflow_keeps_what_it_has(render, one):
    over = {"mlflow": {"enabled": True, "image": "mlflow:3"}, "settings": {"mlflow": {"url": None}}}
    manifests = render("schnitzel", **over)
    spec = one(manifests, "Deployment", "-mlflow")["spec"]
    found = variables(spec)
    assert found["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////var/lib/mlflow/mlflow.db"
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "/var/lib/mlflow/artifacts"
    assert spec["strategy"] == {"type": "Recreate"}
    claim = one(manifests, "PersistentVolumeClaim", "-mlflow")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_mlflow_on_a_database_and_a_bucket_keeps_nothing(render, one):
    manifests = render("schnitzel", "everything")
    spec = one(manifests, "Deployment", "-mlflow")["spec"]
    found = variables(spec)
    assert found["MLFLOW_BACKEND_STORE_URI"] == {
        "secretKeyRef": {"name": "mlflow-postgres", "key": "url"}
    }
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://mlflow/artifacts"
    assert "PersistentVolumeClaim" not in {m["kind"] for m in manifests}
    [container] = spec["template"]["spec"]["containers"]
    assert container["command"] == ["/opt/mlflow/bin/mlflow", "server"]
    assert container["envFrom"] == [{"secretRef": {"name": "mlflow-s3"}}]
    hosts = found["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"platform-mlflow.somewhere.svc:5000", "mlflow.example.com"} <= set(hosts)
