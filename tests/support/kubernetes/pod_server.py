"""Small HTTP servers in pods that meet the `restricted` standard, from the base image alone."""

from __future__ import annotations

from typing import Any

# Answers every path with one text: what a pod is called by, or metrics.
_SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["TEXT"].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def deployment(name: str, image: str, text: str, replicas: int = 1) -> dict[str, Any]:
    """A Deployment that answers `text` on port 8080, asked by our Prometheus."""
    labels = {"app": name, "app.kubernetes.io/managed-by": "schnitzel"}
    container = {
        "name": "server",
        "image": image,
        "command": ["/usr/bin/python3", "-c", _SERVER],
        "env": [{"name": "TEXT", "value": text}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "securityContext": dict(CONTAINER_SECURITY),
    }
    pod = {
        "securityContext": dict(POD_SECURITY),
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def service(name: str) -> dict[str, Any]:
    """The Service of the Deployment of that name, on port 80."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def route(path: str, gateway: dict[str, str], weights: dict[str, int]) -> dict[str, Any]:
    """A route of the gateway to several Services, by weight."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    match = {"path": {"type": "PathPrefix", "value": path}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": path.strip("/")},
        "spec": {
            "parentRefs": [gateway],
            "rules": [{"matches": [match], "backendRefs": backends}],
        },
    }
