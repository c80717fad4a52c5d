"""The chart seldon under the stand-in of the operator, on a real API server and a real kubelet.

The servers in the pods are small ones of Debian's Python: this is about what the operator makes of
the chart, and about how pods begin and end. test_pods.py has the real ones.
"""

import copy
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import yaml
from standins.seldon import objects, rules
from standins.seldon.servers import DEFAULTS
from support import ROOT
from support.run.wait import wait_for

from deployer.state import Phase
from deployer.targets.kubernetes.render import Charts
from deployer.targets.kubernetes.seldon import MARK

CASES = sorted(path.stem for path in (ROOT / "tests/unit/helm/values/seldon").glob("*.yaml"))
OURS = {"image": "localhost/server", "defaultImageVersion": "1"}
CONFIG = DEFAULTS | {"SCHNITZEL_SERVER": {"protocols": {"v2": OURS}}}
DRY = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")

# A server with our paths and our end: on SIGTERM it is not ready, and answers for `drain_seconds`.
FRONT = """
import http.server, json, os, signal, threading, time, urllib.request
told = json.load(open("/etc/schnitzel/predictor.json"))
behind = (told.get("backend") or {}).get("url")
server = http.server.ThreadingHTTPServer(("", told["port"]), None)
ready = True
def end(*_):
    global ready
    ready = False
    threading.Timer(told["drain_seconds"], os._exit, (0,)).start()
signal.signal(signal.SIGTERM, end)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = 200, told["predictor"].encode()
        try:
            if behind:
                body = urllib.request.urlopen(behind + "/v1/models/model", timeout=5).read()
        except OSError as error:
            status, body = 502, str(error).encode()
        if self.path == "/v2/health/ready" and not ready:
            status = 503
        self.send_response(status); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
server.RequestHandlerClass = Handler
server.daemon_threads = True
server.serve_forever()
"""
# TensorFlow Serving's stand-in: it ends at once when it is told to.
TENSORFLOW = """
import http.server, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"AVAILABLE")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 9000), Handler)
server.serve_forever()
"""
FETCH = "import os; os.makedirs('{0}/model/saved_model', exist_ok=True)"


@pytest.fixture(scope="session")
def charts():
    return Charts(ROOT / "helm")


@pytest.fixture
def rendered(charts, place, image):
    """The chart's manifests in the test's namespace; with `run`, its programs are small ones."""

    def render(case="server", *, run=True, **over):
        values = yaml.safe_load((ROOT / f"tests/unit/helm/values/seldon/{case}.yaml").read_text())
        values |= {"image": image, **over}
        manifests = charts.render("seldon", values["predictor"], place.name, values)
        if run:
            _small(manifests[-1], image)
        return manifests

    return render


def _small(resource, image):
    assert resource["kind"] == "SeldonDeployment"
    spec = resource["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    for container in spec["initContainers"]:
        [folder] = [
            m["mountPath"] for m in container["volumeMounts"] if "/mnt/model" in m["mountPath"]
        ]
        container |= {"image": image, "command": ["/usr/bin/python3", "-c", FETCH.format(folder)]}
    for container in spec["containers"]:
        tensorflow = container["name"] == "model" and len(spec["containers"]) > 1
        program = TENSORFLOW if tensorflow else FRONT
        container |= {"image": image, "command": ["/usr/bin/python3", "-c", program]}
        container.pop("args", None)
        if tensorflow:
            container["readinessProbe"]["httpGet"]["path"] = "/v1/models/model"


NAME = "angler-prod-v3-1a2b3c4d"
LABELS = {"seldon-deployment-id": NAME}


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
        assert rules.refusal(resource["spec"], CONFIG) == ""
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


def test_a_predictor_comes_answers_and_goes(place, rendered):
    place.apply(*rendered())
    place.wait_seen(NAME, Phase.READY)
    [deployment] = place.get("deployments", **LABELS)
    assert deployment["metadata"]["name"] == f"{NAME}-main-0-model"
    assert deployment["metadata"]["labels"]["schnitzel.dev/predictor"] == NAME
    assert httpx.get(f"{address(place)}/", timeout=10, trust_env=False).text == NAME
    place.delete("seldondeployment", NAME)
    wait_for(lambda: not place.get("pods") and not place.get("deployments"), "all to go", 90)


def test_applying_it_again_changes_nothing(place, rendered):
    manifests = rendered()
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    before = place.get("deployments")[0]["metadata"]["resourceVersion"]
    place.apply(*manifests)
    diff = ("diff", "--server-side", "--field-manager=tests", "-n", place.name, "-f", "-")
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    done = place.kube.run(*diff, stdin=listed)
    assert done.returncode == 0, done.stdout
    assert place.get("deployments")[0]["metadata"]["resourceVersion"] == before


def test_the_longest_name_serves_as_well(place, rendered):
    longest = "a" * 50
    place.apply(*rendered("tensorflow", predictor=longest))
    place.wait_seen(longest, Phase.READY)
    [deployment] = place.get("deployments")
    assert deployment["metadata"]["name"].startswith("seldon-")
    text = httpx.get(f"{address(place, longest)}/", timeout=10, trust_env=False).text
    assert text == "AVAILABLE"


# -- what can fail, and how it is seen


def test_a_bad_update_is_seen_while_the_state_stays_creating(place, rendered):
    place.apply(*rendered())
    place.wait_seen(NAME, Phase.READY)
    bad = rendered(podAnnotations={"try": "2"})
    predictor = bad[-1]["spec"]["predictors"][0]
    predictor["progressDeadlineSeconds"] = 5
    container = predictor["componentSpecs"][0]["spec"]["containers"][0]
    container["readinessProbe"]["httpGet"]["port"] = 1
    place.apply(*bad)
    found = place.wait_seen(NAME, Phase.READY, "NotReady", weight=100)
    assert "its pods from before answer" in found.message
    place.wait_state(NAME, "Creating")
    assert place.seen(NAME).phase is Phase.STARTING  # a new version that is not ready
    place.apply(*rendered())
    place.wait_seen(NAME, Phase.READY)


def test_available_without_a_service_of_the_operators_is_reached_by_ours(place, rendered):
    manifests = rendered()
    predictor = manifests[-1]["spec"]["predictors"][0]
    predictor["graph"]["name"] = "other"
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    place.wait_state(NAME, "Available")
    assert place.names("services") == {NAME}
    assert httpx.get(f"{address(place)}/", timeout=10, trust_env=False).text == NAME


def test_a_service_that_leads_to_no_pod_is_seen(place, rendered):
    manifests = rendered()
    [service] = [each for each in manifests if each["kind"] == "Service"]
    service["spec"]["selector"] = {"seldon-app": "another"}
    place.apply(*manifests)
    found = place.wait_seen(NAME, Phase.STARTING, "SeldonUnreachable")
    assert "no Service leads to them" in found.message
    place.apply(*rendered())
    place.wait_seen(NAME, Phase.READY)


def test_a_loop_is_seen(place, rendered):
    manifests = rendered()
    del manifests[-1]["spec"]["predictors"][0]["replicas"]
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    again = rendered(podAnnotations={"try": "2"})
    del again[-1]["spec"]["predictors"][0]["replicas"]
    place.apply(*again)
    assert place.wait_seen(NAME, Phase.UNREADY, "SeldonLoops", weight=100).replicas_ready
    place.apply(*rendered(podAnnotations={"try": "2"}))
    place.wait_seen(NAME, Phase.READY)


def test_a_server_that_the_operator_does_not_know_is_seen(place, rendered):
    place.apply(*rendered("named", run=False, named={"server": "NOBODYS_SERVER"}))
    found = place.wait_seen(NAME, Phase.FAILED, "SeldonRefused")
    assert "Failed to get server config for NOBODYS_SERVER" in found.message


# -- no request is lost


class Load:
    """Requests, one after another in some threads, each with a connection of its own."""

    def __init__(self, url, threads=3):
        self._url, self._ending = url, threading.Event()
        self.good, self.bad = 0, []
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._run) for _ in range(threads)]

    def _run(self):
        while not self._ending.is_set():
            try:
                answer = httpx.get(self._url, timeout=10, trust_env=False)
                if answer.status_code == 200:
                    self.good += 1
                else:
                    self.bad.append(f"{answer.status_code} {answer.text}")
            except httpx.HTTPError as error:
                self.bad.append(repr(error))
            time.sleep(0.01)

    def end(self):
        self._ending.set()
        for each in self._running:
            each.result()
        self._pool.shutdown()


def address(place, name=NAME):
    return f"http://{place.find('service', name)['spec']['clusterIP']}:8080"


def rolled_under_load(place, render):
    """Roll a predictor once, under load; good and bad answers, until the old pod has gone."""
    place.apply(*render())
    place.wait_seen(NAME, Phase.READY)
    old = {p["metadata"]["uid"] for p in place.get("pods")}
    load = Load(address(place))
    try:
        wait_for(lambda: load.good > 50, "the load")
        place.apply(*render(podAnnotations={"try": "2"}))
        [predictor] = place.find("seldondeployment", NAME)["spec"]["predictors"]
        place.wait_seen(NAME, Phase.READY)
        assert (
            place.get("deployments")[0]["metadata"]["annotations"][MARK]
            == predictor["annotations"][MARK]
        )
        wait_for(lambda: not old & {p["metadata"]["uid"] for p in place.get("pods")}, "its end", 60)
    finally:
        load.end()
    return load


SERVER = {"drainSeconds": 4, "timeoutSeconds": 2}


@pytest.mark.parametrize("case", ["server", "tensorflow"])
def test_a_roll_loses_no_request(place, rendered, case):
    load = rolled_under_load(place, lambda **over: rendered(case, server=SERVER, **over))
    assert load.bad == []
    assert load.good > 100


def answers_of_a_pod_that_ends(place):
    """What the front of the only pod answers from when the pod is deleted to when it is gone."""
    [pod] = place.get("pods")
    url, found = f"http://{pod['status']['podIP']}:8080/", []
    place.delete("pod", pod["metadata"]["name"], "--wait=false")

    def gone():
        try:
            found.append(httpx.get(url, timeout=10, trust_env=False).status_code)
        except httpx.TransportError:
            return bool(found)
        return False

    wait_for(gone, "the front's end", 60, every=0.02)
    return set(found)


@pytest.mark.parametrize(("hook", "said"), [(True, {200}), (False, {200, 502})])
def test_the_tensorflow_container_answers_until_the_front_has_ended(place, rendered, hook, said):
    """Without the chart's hook it would be gone before: so this test can fail."""
    manifests = rendered("tensorflow", server=SERVER)
    if not hook:
        spec = manifests[-1]["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
        spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] = ["/bin/true"]
    place.apply(*manifests)
    place.wait_seen(NAME, Phase.READY)
    assert answers_of_a_pod_that_ends(place) | {200} == said
