"""The stand-in of the operator at work on a real API server, line by line of what was measured.

What shows that it works at all is run always; the rest, which guards changes of itself, with the
long ones.
"""

import json

from standins.seldon import crd
from support import ROOT
from support.run.wait import wait_for
from support.systems.seldon import PREFIX, namespace, standing_in


def deployment_of(place, name="sd-main-0-model"):
    return place.find("deployment", name)


def pods(place):
    return {p["metadata"]["uid"]: p for p in place.get("pods")}


def test_from_applied_to_available_and_gone(place, resource):
    place.apply(resource())
    told = place.wait_state("sd", "Available")
    assert "observedGeneration" not in told
    assert told["address"]["url"].startswith(f"http://sd-main.{place.name}.svc")
    assert told["conditions"] == [{"type": "Ready", "status": "True"}]
    assert set(told["deploymentStatus"]) == {"sd-main-0-model"}
    assert place.names("services") == {"sd-main", "sd-main-model"}
    [endpoints] = place.get("endpointslices", **{"kubernetes.io/service-name": "sd-main"})
    assert len(endpoints["endpoints"]) == 1
    place.delete("seldondeployment", "sd")
    kinds = ("deployments", "services", "pods")
    wait_for(lambda: not any(place.get(kind) for kind in kinds), "all to be gone", 90)


def test_what_is_changed_by_hand_is_put_back(place, resource):
    place.apply(resource())
    place.wait_state("sd", "Available")
    kubectl, here = place.kube.kubectl, ("-n", place.name)
    kubectl("scale", "deployment/sd-main-0-model", "--replicas=2", *here)
    wait_for(lambda: deployment_of(place)["spec"]["replicas"] == 1, "one replica again")
    uid = deployment_of(place)["metadata"]["uid"]
    kubectl("delete", "deployment/sd-main-0-model", "service/sd-main", *here)

    def again():
        found = deployment_of(place)
        return found and found["metadata"]["uid"] != uid and place.find("service", "sd-main")

    wait_for(again, "what was deleted to be there again", every=0.2)


def test_a_graph_that_names_no_container_is_available_without_a_service(place, resource, container):
    found = resource(
        graph={"name": "other", "type": "MODEL"}, containers=[container(readinessProbe=None)]
    )
    place.apply(found)
    told = place.wait_state("sd", "Available")
    assert "address" not in told
    assert place.names("services") == set()


def test_no_components_are_available_without_a_deployment(place, resource):
    place.apply(resource(componentSpecs=None))
    place.wait_state("sd", "Available")
    assert place.names("deployments") == set()


def test_with_its_webhook_it_refuses_in_the_real_ones_words(kube, seldon_crd, resource, tmp_path):
    prefix = f"{PREFIX}w"
    with standing_in(kube, tmp_path, prefix, "--webhook"), namespace(kube, f"{prefix}1") as here:
        flags = ("--server-side", "--dry-run=server", "-n", here.name, "-f", "-")

        def dry(found):
            return kube.run("apply", *flags, stdin=json.dumps(found))

        said = dry(resource(traffic=50)).stderr
        assert 'The SeldonDeployment "" is invalid: Traffic must sum be 100' in said
        assert dry(resource()).returncode == 0
        missing = dry(resource(graph={"name": "other"})).stderr
        assert "Can't find container for Predictive Unit" in missing
        assert here.find("seldondeployment", "sd") is None
    names = kube.kubectl("get", "validatingwebhookconfigurations", "-o", "name")
    assert prefix not in names


def test_no_predictors_end_it(kube, seldon_crd, resource, tmp_path):
    prefix = f"{PREFIX}p"
    with standing_in(kube, tmp_path, prefix) as running, namespace(kube, f"{prefix}1") as here:
        found = resource()
        found["spec"]["predictors"] = []
        here.apply(found)
        wait_for(running.process.poll, "it to end", 30)
        assert "IndexError: list index out of range" in running.log.read_text()


def test_the_stand_in_says_what_it_is():
    text = (ROOT / "tests/standins/seldon/__init__.py").read_text()
    assert text.startswith('"""A stand-in for the operator')
    assert "for tests" in crd.crd()["metadata"]["annotations"]["schnitzel.dev/stand-in"]
