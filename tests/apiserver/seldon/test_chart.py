"""The chart seldon under the stand-in of the operator, on a real API server.

What the operator makes of it, and how what fails is seen. That its pods serve, and lose no request,
is in tests/node/seldon.
"""

import copy
import json

import pytest
import yaml
from standins.seldon import objects, rules
from standins.seldon.servers import configured
from support import ROOT

from deployer.state.predictor import Phase
from deployer.targets.kubernetes.render.charts import Charts

CASES = sorted(path.stem for path in (ROOT / "tests/unit/helm/values/seldon").glob("*.yaml"))
OURS = {"image": "localhost/server", "defaultImageVersion": "1"}
CONFIG = configured({"SCHNITZEL_SERVER": {"protocols": {"v2": OURS}}})
DRY = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
NAME = "angler-prod-v3-1a2b3c4d"


@pytest.fixture(scope="session")
def charts():
    return Charts(ROOT / "helm")


@pytest.fixture
def rendered(charts):
    """The chart's manifests in a namespace."""

    def render(place, case="server", **over):
        values = yaml.safe_load((ROOT / f"tests/unit/helm/values/seldon/{case}.yaml").read_text())
        values |= over
        return charts.render("seldon", values["predictor"], place.name, values)

    return render


@pytest.mark.parametrize("case", CASES)
def test_the_operators_pods_are_admitted_where_restricted_is_enforced(
    kube, seldon_crd, charts, case
):
    """What the stand-in makes of each rendered manifest; except where its own initializer is."""
    values = yaml.safe_load((ROOT / f"tests/unit/helm/values/seldon/{case}.yaml").read_text())
    with kube.namespace() as namespace:
        manifests = charts.render("seldon", "release", namespace, values)
        kube.kubectl(
            *DRY, stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        )
        resource = copy.deepcopy(manifests[-1])
        assert rules.refusals(resource["spec"], CONFIG) == []
        [deployment] = objects.wanted(resource, CONFIG, "localhost/initializer:1").deployments
        _has_lost_no_variable(resource, deployment)
        template = deployment["spec"]["template"]
        for name in ("serviceAccountName", "priorityClassName"):  # admission asks for them
            template["spec"].pop(name, None)
        metadata = {"name": "pod", "namespace": namespace, "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        done = kube.run(*DRY, stdin=json.dumps(pod))
        if case == "named":
            assert "violates PodSecurity" in done.stderr
        else:
            assert done.returncode == 0, done.stderr


def _has_lost_no_variable(resource, deployment):
    [component] = resource["spec"]["predictors"][0]["componentSpecs"]
    given, made = component["spec"], deployment["spec"]["template"]["spec"]
    for before, after in zip(given["containers"], made["containers"], strict=True):
        assert before["env"] == after["env"][: len(before["env"])]


def test_applying_it_again_changes_nothing(place, rendered):
    manifests = rendered(place)
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    before = place.get("deployments")[0]["metadata"]["resourceVersion"]
    place.apply(*manifests)
    diff = ("diff", "--server-side", "--field-manager=tests", "-n", place.name, "-f", "-")
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    done = place.kube.run(*diff, stdin=listed)
    assert done.returncode == 0, done.stdout
    assert place.get("deployments")[0]["metadata"]["resourceVersion"] == before


def test_the_longest_name_has_a_service_that_leads_to_its_pod(place, rendered):
    longest = "a" * 50
    place.apply(*rendered(place, "tensorflow", predictor=longest))
    place.wait_seen(longest, Phase.READY)
    [deployment] = place.get("deployments")
    assert deployment["metadata"]["name"].startswith("seldon-")
    leads_to_the_pod(place, longest)


def leads_to_the_pod(place, service):
    """A Service selects the only pod."""
    [pod] = place.get("pods")
    selector = place.find("service", service)["spec"]["selector"]
    assert selector.items() <= pod["metadata"]["labels"].items()


# -- what can fail, and how it is seen


def test_a_graph_that_names_no_container_is_refused_at_admission(place, rendered):
    *others, resource = rendered(place)
    resource["spec"]["predictors"][0]["graph"]["name"] = "other"
    place.apply(*others)
    done = place.kube.run("apply", "--server-side", "-f", "-", stdin=json.dumps(resource))
    assert "Can't find container for Predictive Unit" in done.stderr
    assert place.find("seldondeployment", NAME) is None


def test_a_bad_update_is_seen_while_the_state_stays_creating(place, rendered):
    place.apply(*rendered(place))
    place.wait_seen(NAME, Phase.READY)
    bad = rendered(place, podAnnotations={"try": "2"})
    predictor = bad[-1]["spec"]["predictors"][0]
    predictor["progressDeadlineSeconds"] = 1
    container = predictor["componentSpecs"][0]["spec"]["containers"][0]
    container["readinessProbe"]["httpGet"]["port"] = 1
    place.apply(*bad)
    found = place.wait_seen(NAME, Phase.READY, "NotReady", weight=100)
    assert "its pods from before answer" in found.message
    place.wait_state(NAME, "Creating")
    assert place.seen(NAME).phase is Phase.STARTING  # a new version that is not ready
    place.apply(*rendered(place))
    place.wait_seen(NAME, Phase.READY)


def test_a_service_that_leads_to_no_pod_is_seen(place, rendered):
    manifests = rendered(place)
    [service] = [each for each in manifests if each["kind"] == "Service"]
    service["spec"]["selector"] = {"seldon-app": "another"}
    place.apply(*manifests)
    found = place.wait_seen(NAME, Phase.STARTING, "SeldonUnreachable")
    assert "no Service leads to them" in found.message
    place.apply(*rendered(place))
    place.wait_seen(NAME, Phase.READY)


def test_a_loop_is_seen(place, rendered):
    manifests = rendered(place)
    del manifests[-1]["spec"]["predictors"][0]["replicas"]
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    again = rendered(place, podAnnotations={"try": "2"})
    del again[-1]["spec"]["predictors"][0]["replicas"]
    place.apply(*again)
    assert place.wait_seen(NAME, Phase.UNREADY, "SeldonLoops", weight=100).replicas_ready
    place.apply(*rendered(place, podAnnotations={"try": "2"}))
    place.wait_seen(NAME, Phase.READY)


def test_a_server_that_the_operator_does_not_know_is_seen(place, rendered):
    place.apply(*rendered(place, "named", named={"server": "NOBODYS_SERVER"}))
    found = place.wait_seen(NAME, Phase.FAILED, "SeldonRefused")
    assert "Failed to get server config for NOBODYS_SERVER" in found.message


# -- what its webhook would have refused


def test_available_without_a_service_of_the_operators_is_reached_by_ours(unguarded, rendered):
    manifests = rendered(unguarded)
    manifests[-1]["spec"]["predictors"][0]["graph"]["name"] = "other"
    unguarded.apply(*manifests)
    unguarded.wait_seen(NAME, Phase.READY)
    unguarded.wait_state(NAME, "Available")
    assert unguarded.names("services") == {NAME}
    leads_to_the_pod(unguarded, NAME)


def test_available_without_a_deployment_is_seen(unguarded, rendered):
    manifests = rendered(unguarded)
    del manifests[-1]["spec"]["predictors"][0]["componentSpecs"]
    unguarded.apply(*manifests)
    found = unguarded.wait_seen(NAME, Phase.FAILED, "SeldonRefused")
    assert "makes no Deployment of it, and says it is available" in found.message
