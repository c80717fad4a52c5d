"""The stand-in of the operator makes what the real one was seen to make."""

import json

import pytest
from standins.seldon import crd, objects, servers
from support import ROOT

CASES = json.loads((ROOT / "tests/standins/seldon/recorded/pods.json").read_text())["cases"]


@pytest.fixture(params=CASES, ids=lambda case: case["case"])
def recorded(request):
    return request.param


@pytest.fixture
def made(recorded):
    resource = {
        "apiVersion": crd.API_VERSION,
        "kind": "SeldonDeployment",
        "metadata": {"name": "sd1", "namespace": "default", "uid": "u"},
        "spec": recorded["spec"],
    }
    return objects.wanted(resource, servers.DEFAULTS, "initializer:1")


@pytest.fixture
def deployment(made):
    [found] = made.deployments
    return found


def test_services_and_the_address(recorded, made):
    assert recorded["url"] == made.url
    ports = {
        service["metadata"]["name"]: [port["port"] for port in service["spec"]["ports"]]
        for service in made.services
    }
    assert ports == recorded["services"]


def test_the_deployment(recorded, deployment):
    assert deployment["metadata"]["name"] == recorded["deployment"]
    spec = deployment["spec"]
    for field in ("strategy", "progressDeadlineSeconds"):
        assert spec[field] == recorded.get(field, spec[field])
    for told in (deployment["metadata"], spec["template"]["metadata"]):
        assert told["labels"] == recorded.get("labels", told["labels"])


def test_the_pod(recorded, deployment):
    pod = deployment["spec"]["template"]["spec"]
    grace = "terminationGracePeriodSeconds"
    assert pod[grace] == recorded.get(grace, pod[grace])
    inits = {each["name"]: each["args"] for each in pod.get("initContainers", ())}
    assert inits == recorded["initContainers"]
    found = {each["name"]: facts(each) for each in pod["containers"]}
    assert list(found) == list(recorded["containers"])
    for name, told in recorded["containers"].items():
        env = dict(told.get("env", ()))
        found[name]["env"] = [
            [variable, None if env.get(variable, "") is None else value]
            for variable, value in found[name]["env"]
        ]
        assert {fact: found[name][fact] for fact in told} == told


def facts(container):
    """A container as it is recorded."""
    hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {})
    return {
        "image": container["image"],
        "args": container.get("args"),
        "ports": [[port.get("name"), port["containerPort"]] for port in container["ports"]],
        "env": [[each["name"], each["value"]] for each in container.get("env", ())],
        "readiness": container.get("readinessProbe"),
        "liveness": container.get("livenessProbe"),
        "preStop": hook.get("command"),
    }
