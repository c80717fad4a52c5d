"""In: nothing. Out: a stand-in of the operator at work, and namespaces that it looks after."""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cluster import Cluster, cluster
from processes import Running
from seldon_operator import crd
from seldon_place import PREFIX, Object, Place, have_crd, namespace, standing_in


@pytest.fixture(scope="session")
def kube() -> Cluster:
    return cluster()


@pytest.fixture(scope="session")
def seldon_crd(kube: Cluster) -> str:
    have_crd(kube)
    return crd.NAME


@pytest.fixture(scope="session")
def stand_in(
    kube: Cluster, seldon_crd: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One for all tests that need no other."""
    server = {"image": _base(kube).rpartition(":")[0], "defaultImageVersion": "bookworm"}
    config = {
        "SCHNITZEL_SERVER": {"protocols": {"seldon": server, "v2": server}},
        "TENSORFLOW_SERVER": {"protocols": {"tensorflow": server, "seldon": server}},
    }
    flags = ("--config", json.dumps(config), "--initializer", _base(kube))
    with standing_in(kube, tmp_path_factory.mktemp("stand-in"), f"{PREFIX}t", *flags) as running:
        yield running


@pytest.fixture
def place(kube: Cluster, stand_in: Running) -> Iterator[Place]:
    """A namespace of one test's own."""
    with namespace(kube, f"{PREFIX}t{secrets.token_hex(3)}") as found:
        yield found


def _base(kube: Cluster) -> str:
    found: str = kube.fact("base_image").replace(
        kube.fact("registry_push"), kube.fact("registry_pull")
    )
    return found


@pytest.fixture
def image(request: pytest.FixtureRequest) -> str:
    """Debian's Python, as nodes pull it; just a name where there is no node."""
    if request.node.get_closest_marker("cluster"):
        return _base(cluster())
    return "registry.example/python:bookworm"


# Answers every path with 200 on every port that it is told, until it is told to end.
SERVER = """
import http.server, os, signal, sys, threading
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(os.environ.get("TEXT", "").encode())
    do_POST = do_GET
    def log_message(self, *_): pass
port = int(os.environ.get("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "9000"))
http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
"""


@pytest.fixture
def container(image: str) -> Callable[..., Object]:
    """A container that answers at once, with probes and an end of its own."""

    def make(name: str = "model", **over: Any) -> Object:
        probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
        found: Object = {
            "name": name,
            "image": image,
            "command": ["/usr/bin/python3", "-c", SERVER],
            "readinessProbe": probe,
            "lifecycle": {"preStop": {"exec": {"command": ["/bin/true"]}}},
        }
        found.update(copy.deepcopy(over))
        return {name: value for name, value in found.items() if value is not None}

    return make


@pytest.fixture
def resource(container: Callable[..., Object]) -> Callable[..., Object]:
    """A SeldonDeployment; without `containers`, with one that answers."""

    def make(name: str = "sd", containers: list[Object] | None = None, **over: Any) -> Object:
        spec = {"containers": [container()] if containers is None else containers}
        predictor: Object = {
            "name": "main",
            "replicas": 1,
            "annotations": {"seldon.io/no-engine": "true"},
            "graph": {"name": "model", "type": "MODEL"},
            "componentSpecs": [{"spec": spec}],
        }
        protocol = over.pop("protocol", "v2")
        predictor.update(over)
        predictor = {key: value for key, value in predictor.items() if value is not None}
        return {
            "apiVersion": crd.API_VERSION,
            "kind": "SeldonDeployment",
            "metadata": {"name": name},
            "spec": {"protocol": protocol, "predictors": [predictor]},
        }

    return make


@pytest.fixture
def pod(made: Callable[..., Any]) -> Callable[..., Object]:
    """The pods' spec in the one Deployment of what the module's `made` makes."""

    def make(*arguments: Any, **over: Any) -> Object:
        [deployment] = made(*arguments, **over).deployments
        found: Object = deployment["spec"]["template"]["spec"]
        return found

    return make
