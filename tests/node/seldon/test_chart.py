"""The chart seldon under the stand-in of the operator, on a real API server and a real kubelet.

The servers in the pods are small ones of Debian's Python: this is about what the operator makes of
the chart, and about how pods begin and end. tests/nightly/seldon/test_pods.py has the real ones.
"""

import httpx
import pytest
import yaml
from support import ROOT
from support.load import Load
from support.run.wait import wait_for

from deployer.state.predictor import Phase
from deployer.targets.kubernetes.observe.seldon import MARK
from deployer.targets.kubernetes.render.charts import Charts

NAME = "angler-prod-v3-1a2b3c4d"
LABELS = {"seldon-deployment-id": NAME}
SERVER = {"drainSeconds": 4, "timeoutSeconds": 2}

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
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = 200, told["predictor"].encode()
        try:
            if behind:
                body = urllib.request.urlopen(behind + "/v1/models/model", timeout=5).read()
        except OSError as error:
            status, body = 502, str(error).encode()
        if self.path.startswith("/v2/health/ready") and not ready:
            status = 503
        self.send_response(status); self.end_headers(); self.wfile.write(body)
    do_GET = do_POST
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
    """The chart's manifests in the test's namespace; its programs are small ones."""

    def render(case="server", **over):
        values = yaml.safe_load((ROOT / f"tests/unit/helm/values/seldon/{case}.yaml").read_text())
        values |= {"image": image, **over}
        manifests = charts.render("seldon", values["predictor"], place.name, values)
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


def address(place):
    """Where its Service answers, once kube-proxy has heard of it: it may be after the pods."""
    url = f"http://{place.find('service', NAME)['spec']['clusterIP']}:8080/"

    def answers():
        try:
            return httpx.get(url, timeout=10, trust_env=False).is_success
        except httpx.TransportError:
            return False

    wait_for(answers, "the Service to answer", 60)
    return url


def test_a_predictor_comes_answers_and_goes(place, rendered):
    place.apply(*rendered())
    place.wait_seen(NAME, Phase.READY)
    [deployment] = place.get("deployments", **LABELS)
    assert deployment["metadata"]["name"] == f"{NAME}-main-0-model"
    assert deployment["metadata"]["labels"]["schnitzel.dev/predictor"] == NAME
    assert httpx.get(address(place), timeout=10, trust_env=False).text == NAME
    place.delete("seldondeployment", NAME)
    wait_for(lambda: not place.get("pods") and not place.get("deployments"), "all to go", 90)


def rolled_under_load(place, render):
    """Roll a predictor once, under load, until the old pod has gone."""
    place.apply(*render())
    place.wait_seen(NAME, Phase.READY)
    old = {p["metadata"]["uid"] for p in place.get("pods")}
    with Load(address(place)) as load:
        wait_for(lambda: len(load.answers) > 50, "the load")
        place.apply(*render(podAnnotations={"try": "2"}))
        [predictor] = place.find("seldondeployment", NAME)["spec"]["predictors"]
        place.wait_seen(NAME, Phase.READY)
        [deployment] = place.get("deployments")
        assert deployment["metadata"]["annotations"][MARK] == predictor["annotations"][MARK]
        wait_for(lambda: not old & {p["metadata"]["uid"] for p in place.get("pods")}, "its end", 60)
    return load


@pytest.mark.parametrize("case", ["server", "tensorflow"])
def test_a_roll_loses_no_request(place, rendered, case):
    load = rolled_under_load(place, lambda **over: rendered(case, server=SERVER, **over))
    assert not load.failed, load.failed[:3]


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
