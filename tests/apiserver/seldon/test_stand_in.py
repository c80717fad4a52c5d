"""The stand-in of the operator at work on a real API server, line by line of what was measured."""

import copy
import json

import pytest
from support.run.wait import wait_for
from support.systems.seldon import PREFIX, namespace, standing_in

REV = "example.com/rev"
DRY = ("apply", "--server-side", "--dry-run=server", "-f", "-")


def marked(found, rev):
    found = copy.deepcopy(found)
    found["spec"]["predictors"][0]["annotations"][REV] = rev
    return found


def deployment_of(place, name="sd-main-0-model"):
    return place.find("deployment", name)


def rolled(place, rev, name="sd-main-0-model"):
    """The Deployment once it and all its pods are of that revision: the reliable wait."""

    def look():
        found = deployment_of(place, name)
        if found is None or found["metadata"]["annotations"].get(REV) != rev:
            return None
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        fresh = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        counts = [status.get(n, 0) for n in ("replicas", "updatedReplicas", "availableReplicas")]
        return found if fresh and counts == [wanted] * 3 else None

    return wait_for(look, f"revision {rev} to be rolled out", 90, every=0.2)


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


def test_a_graph_that_names_no_container_is_available_without_a_service(
    unguarded, resource, container
):
    found = resource(
        graph={"name": "other", "type": "MODEL"}, containers=[container(readinessProbe=None)]
    )
    unguarded.apply(found)
    told = unguarded.wait_state("sd", "Available")
    assert "address" not in told
    assert unguarded.names("services") == set()


def test_no_components_are_available_without_a_deployment(unguarded, resource):
    unguarded.apply(resource(componentSpecs=None))
    unguarded.wait_state("sd", "Available")
    assert unguarded.names("deployments") == set()


def test_applying_again_changes_nothing_and_the_operator_owns_only_the_status(place, resource):
    found = resource(containers=None)
    container = found["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    container["ports"] = [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
    place.apply(found)
    place.wait_state("sd", "Available")
    before = place.find("seldondeployment", "sd")["metadata"]
    deployment = deployment_of(place)["metadata"]["resourceVersion"]
    place.apply(found)
    place.apply(found)
    after = place.kube.get("seldondeployment", "sd", "-n", place.name, "--show-managed-fields")
    for field in ("resourceVersion", "generation"):
        assert after["metadata"][field] == before[field]
    assert deployment_of(place)["metadata"]["resourceVersion"] == deployment
    managers = {
        (entry["manager"], entry.get("subresource", "")): set(entry["fieldsV1"])
        for entry in after["metadata"]["managedFields"]
    }
    assert managers == {("tests", ""): {"f:spec"}, ("seldon-stand-in", "status"): {"f:status"}}
    diff = ("diff", "--server-side", "--field-manager=tests", "-n", place.name, "-f", "-")
    done = place.kube.run(*diff, stdin=json.dumps(found))
    assert done.returncode == 0, done.stdout


def test_a_protocol_that_is_left_out_is_the_only_difference(kube, seldon_crd, resource, container):
    given = container(ports=[{"name": "http", "containerPort": 9000}])
    found = json.loads(
        kube.kubectl(*DRY, "-o", "json", stdin=json.dumps(resource(containers=[given])))
    )
    [made] = found["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    assert made == given | {"ports": [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]}


def test_the_mark_says_when_an_update_has_happened(place, resource):
    found = resource()
    place.apply(marked(found, "1"))
    place.wait_state("sd", "Available")
    old = set(pods(place))
    slow = marked(found, "2")
    spec = slow["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    spec["readinessProbe"]["initialDelaySeconds"] = 2
    place.apply(slow)
    rolled(place, "2")
    wait_for(lambda: not old & set(pods(place)), "the old pod to go", 60)


def test_a_new_container_name_makes_a_new_deployment_without_a_gap(place, resource, container):
    place.apply(resource())
    place.wait_state("sd", "Available")
    place.apply(
        resource(
            containers=[
                container(),
                container("oip", readinessProbe=None, command=["/bin/sleep", "600"]),
            ]
        )
    )
    other = "sd-main-0-model-oip"

    def look():
        old, new = deployment_of(place), deployment_of(place, other)
        ready = (new or {}).get("status", {}).get("availableReplicas", 0)
        assert old is not None or ready
        return old is None and ready

    wait_for(look, "the new Deployment alone", 90, every=0.1)


def test_a_bad_update_stays_creating_and_going_back_touches_no_pod(place, resource):
    good = marked(resource(progressDeadlineSeconds=1), "1")
    place.apply(good)
    place.wait_state("sd", "Available")
    old = set(pods(place))
    bad = marked(good, "2")
    spec = bad["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    spec["readinessProbe"]["httpGet"]["port"] = 1
    place.apply(bad)

    def stuck():
        found = deployment_of(place).get("status", {}).get("conditions", [])
        return any(c.get("reason") == "ProgressDeadlineExceeded" for c in found)

    wait_for(stuck, "the Deployment to say that it is stuck", 60, every=0.2)
    assert place.wait_state("sd", "Creating")["conditions"][0]["status"] == "False"
    place.apply(good)
    place.wait_state("sd", "Available")
    assert old <= set(pods(place))


def test_a_bad_first_install_fails(place, resource, container):
    bad = container(image="localhost:9/none:1")
    place.apply(resource(containers=[bad], progressDeadlineSeconds=1))
    told = place.wait_state("sd", "Failed")
    assert told["description"] == "Deployment is no longer progressing and not available."


def test_no_replica_is_creating(place, resource):
    place.apply(resource(replicas=0))
    place.wait_state("sd", "Creating")
    assert deployment_of(place)["spec"]["replicas"] == 0


def test_without_a_named_port_its_probe_keeps_it_creating(unguarded, resource):
    unguarded.apply(resource(graph={"name": "other", "type": "MODEL"}))
    unguarded.wait_state("sd", "Creating")
    assert unguarded.names("services") == set()


@pytest.mark.parametrize(
    ("protocol", "graph", "said"),
    [
        ("v2", {"name": "model", "implementation": "X"}, "Failed to get server config for X"),
        (
            "v2",
            {"name": "model", "implementation": "TENSORFLOW_SERVER", "modelUri": "s3://m"},
            "containers[0].image: Required value",
        ),
    ],
)
def test_what_cannot_be_made_fails_with_a_sentence(unguarded, resource, protocol, graph, said):
    unguarded.apply(resource(protocol=protocol, graph=graph, componentSpecs=None))
    assert said in unguarded.wait_state("sd", "Failed")["description"]


def test_without_replicas_an_update_loops_until_they_are_set(place, resource):
    found = resource(replicas=None)
    place.apply(marked(found, "1"))
    place.wait_state("sd", "Available")
    place.apply(marked(found, "2"))

    def running_away():
        live = deployment_of(place)
        return live["metadata"]["generation"] > 40

    wait_for(running_away, "the Deployment's generation to run away", every=0.2)
    healed = marked(found, "2")
    healed["spec"]["predictors"][0]["replicas"] = 1
    place.apply(healed)
    rolled(place, "2")


def test_a_removed_predictor_goes_when_the_rest_is_ready_its_services_last(place, resource):
    found = resource()
    [predictor] = found["spec"]["predictors"]
    both = copy.deepcopy(found)
    both["spec"]["predictors"] = [  # several predictors have to share all of the traffic
        copy.deepcopy(predictor) | {"name": name, "traffic": 50} for name in ("main", "other")
    ]
    place.apply(both)
    place.wait_state("sd", "Available")
    assert place.names("services") == {"sd-main", "sd-main-model", "sd-other", "sd-other-model"}
    place.apply(found)

    def look():
        names = place.names("services")
        gone = not place.get("pods", **{"seldon-app": "sd-other"})
        assert gone or "sd-other" in names
        return names == {"sd-main", "sd-main-model"}

    wait_for(look, "the Services of the removed predictor to go", 60, every=0.2)


def test_one_of_two_resources_goes_and_the_other_stays_untouched(place, resource):
    place.apply(resource("one"), resource("two"))
    for name in ("one", "two"):
        place.wait_state(name, "Available")

    def of_two():
        kinds = ("seldondeployment", "deployment", "service")
        names = ("two", "two-main-0-model", "two-main")
        found = [place.find(*each) for each in zip(kinds, names, strict=True)]
        return [each["metadata"]["resourceVersion"] for each in found]

    before = of_two()
    place.delete("seldondeployment", "one")
    wait_for(lambda: not place.get("pods", **{"seldon-app": "one-main"}), "its pods to go", 60)
    assert of_two() == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.pop("name"), "Required value"),
        (lambda p: p["graph"].pop("name"), "Required value"),
        (lambda p: p.update(replica=1), "field not declared in schema"),
        (lambda p: p["graph"].update(kind="MODEL"), "field not declared in schema"),
        (
            lambda p: p["componentSpecs"][0]["spec"]["containers"][0].update(
                restartPolicy="Always"
            ),
            "field not declared in schema",
        ),
        (
            lambda p: p["componentSpecs"][0]["spec"]["containers"][0].update(
                lifecycle={"preStop": {"sleep": {"seconds": 1}}}
            ),
            "field not declared in schema",
        ),
        (
            lambda p: p["componentSpecs"][0]["spec"]["containers"][0].update(
                ports=[{"name": "a", "containerPort": 1}, {"name": "b", "containerPort": 1}]
            ),
            "duplicate",
        ),
    ],
)
def test_the_crd_refuses(kube, seldon_crd, resource, spoil, said):
    found = resource()
    spoil(found["spec"]["predictors"][0])
    done = kube.run(*DRY, stdin=json.dumps(found))
    assert done.returncode == 1
    assert said in done.stderr


def test_no_predictors_end_it(kube, seldon_crd, resource, tmp_path):
    prefix = f"{PREFIX}p"
    started = standing_in(kube, tmp_path, prefix, "--no-webhook")
    with started as running, namespace(kube, f"{prefix}1") as here:
        found = resource()
        found["spec"]["predictors"] = []
        here.apply(found)
        wait_for(running.process.poll, "it to end", 30)
        assert "IndexError: list index out of range" in running.log.read_text()
