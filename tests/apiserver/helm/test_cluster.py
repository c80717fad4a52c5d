"""What the charts render, a real API server takes; and `helm install` works by hand."""

import copy
import json
import subprocess

import pytest
import yaml
from support import CRD
from support.run.wait import wait_for
from support.systems.cluster import control_plane
from support.systems.seldon import have_crd

OF_OPERATORS = ("monitoring.coreos.com", "keda.sh")
"""Groups of kinds that this API server lacks: the operators of Prometheus and KEDA define them."""
DRY = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def kube():
    found = control_plane()
    found.define(CRD)
    have_crd(found)
    return found


@pytest.fixture
def namespace(kube, request):
    with kube.namespace(request) as name:
        yield name


@pytest.fixture
def helm(helm, kube, namespace):
    """Run helm in the namespace."""

    def run(*arguments):
        command = [helm, *map(str, arguments), "--namespace", namespace]
        command += ["--kubeconfig", str(kube.kubeconfig)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def as_list(manifests):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})


def moved(manifests, namespace):
    """The same manifests, all in one namespace."""
    manifests = copy.deepcopy(manifests)
    for manifest in manifests:
        if manifest["kind"] != "CustomResourceDefinition":
            manifest["metadata"]["namespace"] = namespace
    return manifests


def test_the_api_server_knows_every_field(kube, namespace, render, chart, case):
    manifests = moved(render(chart, case), namespace)
    known = [m for m in manifests if m["apiVersion"].partition("/")[0] not in OF_OPERATORS]
    kube.kubectl(*DRY, stdin=as_list(known))


@pytest.mark.parametrize("which", ["model-server", "tfserving"])
@pytest.mark.parametrize("case", ["default", "everything", "by-hand"])
def test_pods_are_admitted_where_restricted_is_enforced(kube, namespace, render, one, which, case):
    template = one(render(which, case), "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": copy.deepcopy(template["spec"])}
    for name in ("serviceAccountName", "priorityClassName"):  # admission asks whether they exist
        pod["spec"].pop(name, None)
    pod["metadata"] = {"name": "pod", "namespace": namespace}
    kube.kubectl(*DRY, stdin=json.dumps(pod))
    pod["spec"]["containers"][0]["securityContext"].pop("capabilities")
    refused = kube.run(*DRY, stdin=json.dumps(pod))
    assert "violates PodSecurity" in refused.stderr  # so it was enforced before


def test_pods_of_the_platform_are_admitted_as_well(kube, namespace, render):
    for manifest in render("schnitzel", "everything"):
        if manifest["kind"] != "Deployment":
            continue
        spec = copy.deepcopy(manifest["spec"]["template"]["spec"])
        for name in ("serviceAccountName", "priorityClassName"):
            spec.pop(name, None)
        metadata = {"name": "pod", "namespace": namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        kube.kubectl(*DRY, stdin=json.dumps(pod))


def model_deployment(namespace, **over):
    spec = {"model": "angler", "environment": "prod", "platform": "acme", "record": {"id": "x"}}
    return {
        "apiVersion": "schnitzel.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "angler-prod", "namespace": namespace},
        "spec": spec | over,
    }


def test_a_record_is_kept_whatever_is_in_it(kube, namespace):
    record = {"version": 3, "marks": [{"via": "stage", "sequence": 1}], "of": {"later": None}}
    kube.apply(model_deployment(namespace, record=record), namespace=namespace)
    found = kube.get("modeldeployment", "angler-prod", "-n", namespace)
    assert found["spec"]["record"] == record


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"modell": "angler"}, ".spec.modell: field not declared in schema"),
        ({"model": ""}, "spec.model"),
        ({"environment": "Prod!"}, "spec.environment"),
        ({"record": None}, "spec.record"),
    ],
)
def test_a_wrong_deployment_is_refused(kube, namespace, over, said):
    refused = kube.run(*DRY, stdin=json.dumps(model_deployment(namespace, **over)))
    assert refused.returncode != 0
    assert said in refused.stderr


def test_a_deployment_never_becomes_another(kube, namespace):
    kube.apply(model_deployment(namespace), namespace=namespace)
    changed = model_deployment(namespace, model="other")
    refused = kube.run(*DRY, "--field-manager=tests", stdin=json.dumps(changed))
    assert "another model is another deployment" in refused.stderr


def test_kubectl_get_tells_the_story(kube, namespace):
    kube.apply(model_deployment(namespace), namespace=namespace)
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "It serves.",
        "lastTransitionTime": "2026-01-31T12:00:00Z",
        "observedGeneration": 1,
    }
    status = {
        "observedGeneration": 1,
        "wanted": "3",
        "serving": "2",
        "ready": "1/1",
        "state": "Progressing",
        "reason": "Starting",
        "message": "Version 3 is being started.",
        "nextStep": "",
        "url": "http://models.example/prod/angler/",
        "updatedAt": "2026-01-31T12:00:00Z",
        "conditions": [condition],
    }
    patch = ("patch", "md", "angler-prod", "-n", namespace, "--type=merge", "--subresource=status")
    kube.kubectl(*patch, "-p", json.dumps({"status": status}))
    lines = kube.kubectl("get", "md", "-n", namespace).splitlines()
    assert lines[0].split() == [
        "NAME", "ENVIRONMENT", "WANTED", "SERVING", "READY", "REASON", "URL", "AGE",
    ]  # fmt: skip
    told = ["angler-prod", "prod", "3", "2", "1/1", "Starting", status["url"]]
    assert lines[1].split()[:7] == told
    found = kube.get("md", "angler-prod", "-n", namespace)
    assert found["status"] == status
    assert found["spec"] == model_deployment(namespace)["spec"]


GRANTS = [
    ("prod", "patch", "deployments.apps", True),
    ("prod", "create", "httproutes.gateway.networking.k8s.io", True),
    ("prod", "patch", "modeldeployments.schnitzel.dev/status", True),
    ("prod", "get", "pods/log", True),
    ("prod", "update", "leases.coordination.k8s.io/schnitzel-acme", True),
    ("prod", "update", "leases.coordination.k8s.io/schnitzel-other", False),
    ("prod", "delete", "pods", False),
    ("prod", "create", "jobs.batch", False),
    ("prod", "get", "secrets", False),
    ("prod", "list", "secrets", False),
    ("prod", "create", "pods/exec", False),
    ("builds", "create", "jobs.batch", True),
    ("builds", "get", "pods/log", True),
    ("builds", "get", "secrets", False),
    ("builds", "patch", "deployments.apps", False),
    ("other", "get", "configmaps", False),
    ("other", "list", "modeldeployments.schnitzel.dev", False),
]


@pytest.fixture
def namespaces(kube, request):
    """One for the release, one for models, one for builds and one that is nobody's business."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        places = ("prod", "builds", "other")
        yield {place: stack.enter_context(kube.namespace(request)) for place in places}


def platform_values(namespaces, facts):
    """Values of a platform that serves in one namespace of this cluster."""
    return {
        "platformId": "acme",
        "image": "localhost/deployer:none",
        "namespaces": [namespaces["prod"]],
        "buildNamespace": namespaces["builds"],
        "persistence": {"enabled": False},
        "crds": {"enabled": False},  # one for all tests of the cluster
        "settings": {
            "mlflow": {"url": facts.get("mlflow_url", "http://mlflow.example:5000")},
            "environments": {
                "prod": {
                    "stage": "Production",
                    "alias": "champion",
                    "target": "kubernetes",
                    "cluster": "here",
                    "namespace": namespaces["prod"],
                }
            },
            "clusters": {
                "here": {
                    "in_cluster": True,
                    "gateway": {
                        "name": "public",
                        "namespace": "gateway",
                        "url": "http://models.example",
                    },
                    "build": {"namespace": namespaces["builds"]},
                    "server_image": "localhost/model-server:none",
                }
            },
        },
    }


@pytest.fixture
def installed(kube, helm, folder, namespace, namespaces, tmp_path):
    """The platform, installed by hand; its image is nowhere to be had."""
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(platform_values(namespaces, kube.facts)))
    helm("install", "platform", folder / "schnitzel", "-f", path)
    return namespaces


def test_the_deployer_has_these_rights_on_a_real_api_server(kube, installed, namespace):
    account = f"system:serviceaccount:{namespace}:platform-schnitzel-deployer"
    found = []
    for place, verb, resource, _ in GRANTS:
        kind, _, part = resource.partition("/")
        named = part if kind.startswith("leases") else ""  # else it is a subresource
        asked = [f"{kind}/{named}"] if named else [kind, f"--subresource={part}"]
        answer = kube.run("auth", "can-i", verb, *asked, "-n", installed[place], f"--as={account}")
        found.append((place, verb, resource, answer.stdout.strip() == "yes"))
    assert found == GRANTS


def test_the_platform_goes_as_it_came(kube, helm, installed, namespace):
    kube.apply(model_deployment(installed["prod"]), namespace=installed["prod"])
    helm("uninstall", "platform", "--wait")
    assert kube.get("roles,rolebindings", "-n", installed["prod"])["items"] == []
    assert kube.get("deployments,services,networkpolicies", "-n", namespace)["items"] == []
    assert kube.get("modeldeployments", "-n", installed["prod"])["items"]


def test_a_model_server_is_installed_and_upgraded_by_hand(
    kube, helm, folder, namespace, values_of, tmp_path
):
    """No pod runs: this is about what Helm, the API server and the controllers make of it."""
    values = values_of("model-server", "by-hand")
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    chart = folder / "model-server"
    notes = helm("install", "angler", chart, "-f", path)
    assert f"kubectl -n {namespace} rollout status deployment/angler" in notes

    def pods():
        selector = "schnitzel.dev/predictor=angler"
        return kube.get("pods", "-n", namespace, "-l", selector)["items"]

    wait_for(pods, "a pod that was admitted")
    [before] = [p["metadata"]["uid"] for p in pods()]
    generation = kube.get("deployment", "angler", "-n", namespace)["metadata"]["generation"]
    helm("upgrade", "angler", chart, "-f", path, "--set", f"artifact.digest={'c' * 64}")
    changed = kube.get("configmap", "angler", "-n", namespace)["data"]["predictor.json"]
    assert json.loads(changed)["artifact_digest"] == "c" * 64
    deployment = kube.get("deployment", "angler", "-n", namespace)
    assert deployment["metadata"]["generation"] == generation
    assert [p["metadata"]["uid"] for p in pods()] == [before]
    helm("uninstall", "angler", "--wait")
    assert kube.get("deployments,services", "-n", namespace)["items"] == []
