"""Small Deployments that fail on a real cluster, each for one reason, and what is to be said.

A pod has the containers of a real predictor, `artifact` and `server`, which run a few lines of
shell or Python in the base image.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PREDICTOR = "schnitzel.dev/predictor"
DIGEST = "5f" * 32
WAIT = ["python3", "-c", "import time; time.sleep(3600)"]
FETCHED = f'echo \'{{"digest": "{DIGEST}", "bytes": 10, "seconds": 0.1}}\' > /dev/termination-log'
TRACEBACK = "raise RuntimeError('no table at postgres://ann:s3cret@db.example/x')"
ANSWER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if 'live' in self.path else 503)
        self.end_headers()
        self.wfile.write(b'{"ready": false, "reason": "WorkerDied", "message": "it died"}')
http.server.HTTPServer(('', 8080), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Case:
    """What a Deployment is made of, beside what all share, and what is to be said of it."""

    phase: str
    reason: str
    says: str
    """A part of the sentence."""
    server: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the server's container."""
    pod: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the pod's specification."""
    fetch: str = FETCHED
    """What the init container does."""
    beside: tuple[Mapping[str, Any], ...] = ()
    """Objects that are there before it."""
    transient: bool = False
    image: str = ""


def _ends(code: int, reason: str, message: str, hint: str = "") -> str:
    words = json.dumps({"reason": reason, "message": message, "hint": hint})
    return f"echo {shlex.quote(words)} > /dev/termination-log; exit {code}"


def _policy(kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "team"}, "spec": spec}


def _shell(text: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", text]}


def _python(text: str) -> dict[str, Any]:
    return {"command": ["python3", "-c", text]}


def _secret(name: str, key: str) -> dict[str, Any]:
    reference = {"secretKeyRef": {"name": name, "key": key}}
    return {"env": [{"name": "TOKEN", "valueFrom": reference}]}


_BIG = {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}
_GPU = {"requests": {"cpu": "64", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
_SMALL = {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}}
_PROBE = {"periodSeconds": 1, "failureThreshold": 2, "httpGet": {"path": "/", "port": 8080}}

CASES: dict[str, Case] = {
    "too-little-memory": Case(
        "starting",
        "Unschedulable",
        "It needs 900Gi of memory, and no node has that free",
        server={"resources": _BIG},
        transient=True,
    ),
    "too-little-gpu": Case(
        "starting",
        "Unschedulable",
        "It needs 64 of CPU and 1 nvidia.com/gpu",
        server={"resources": _GPU},
        transient=True,
    ),
    "other-node-asked-for": Case(
        "starting",
        "Unschedulable",
        "It asks for a node with other labels, disktype=ssd",
        pod={"nodeSelector": {"disktype": "ssd"}},
        transient=True,
    ),
    "quota-used-up": Case(
        "starting",
        "QuotaExceeded",
        "it needs requests.memory=900Gi; requests.memory=0 is taken, of requests.memory=1Gi",
        server={"resources": _BIG},
        beside=(
            _policy("ResourceQuota", hard={"requests.memory": "1Gi"}),
            _policy("LimitRange", limits=[{"type": "Container", "default": {"memory": "16Mi"}}]),
        ),
        transient=True,
    ),
    "quota-demands": Case(
        "failed",
        "AdmissionRefused",
        "The quota 'team' of its namespace demands requests.memory for: artifact",
        server={"resources": _SMALL},
        beside=(_policy("ResourceQuota", hard={"requests.memory": "1Gi"}),),
    ),
    "limit-range": Case(
        "failed",
        "AdmissionRefused",
        "maximum memory usage per Container is 1Gi, and its limit is 900Gi",
        server={"resources": _BIG},
        beside=(_policy("LimitRange", limits=[{"type": "Container", "max": {"memory": "1Gi"}}]),),
    ),
    "pod-security": Case(
        "failed",
        "AdmissionRefused",
        "restricted",
        server={"securityContext": {"allowPrivilegeEscalation": True}},
    ),
    "no-service-account": Case(
        "starting",
        "ReferenceMissing",
        "The service account 'nobody' that it names does not exist",
        pod={"serviceAccountName": "nobody"},
        transient=True,
    ),
    "image-unreachable": Case(
        "starting",
        "ImageUnavailable",
        "connection refused",
        image="localhost:9/env@sha256:" + "0" * 64,
        transient=True,
    ),
    "image-missing": Case(
        "failed", "ImageUnavailable", "not found", image="REGISTRY/nothing/here:1"
    ),
    "image-misnamed": Case("failed", "ImageUnavailable", "name is not one", image="Not:A:Name"),
    "no-secret": Case(
        "starting",
        "ReferenceMissing",
        "The secret 'absent' that it needs does not exist",
        server=_secret("absent", "token"),
        transient=True,
    ),
    "no-key": Case(
        "starting",
        "ReferenceMissing",
        "The secret 'shop' has no key 'token'",
        server=_secret("shop", "token"),
        beside=({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop"}},),
        transient=True,
    ),
    "no-config-map": Case(
        "starting",
        "ReferenceMissing",
        "The ConfigMap 'predictor' that it needs does not exist",
        server={"volumeMounts": [{"name": "v", "mountPath": "/etc/schnitzel"}]},
        pod={"volumes": [{"name": "v", "configMap": {"name": "predictor"}}]},
        transient=True,
    ),
    "runs-as-root": Case(
        "failed",
        "CannotStart",
        "runAsNonRoot and image will run as root",
        pod={
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        },
    ),
    "no-such-program": Case(
        "failed", "CannotStart", "/no/such/program", server={"command": ["/no/such/program"]}
    ),
    "crash": Case(
        "failed",
        "CrashLoop",
        "no table at postgres://[redacted]@db.example/x",
        server=_python(TRACEBACK),
        transient=True,
    ),
    "load-error": Case(
        "failed",
        "LoadError",
        "No module named 'flaml'",
        server=_shell(_ends(64, "LoadError", "No module named 'flaml'")),
    ),
    "out-of-memory": Case(
        "failed",
        "OutOfMemory",
        "more memory than its limit of 64Mi",
        server={**_python("x = b'x' * 10**9"), "resources": _SMALL},
        transient=True,
    ),
    "artifact-missing": Case(
        "failed",
        "ArtifactMissing",
        "There is nothing at s3://models/7",
        fetch=_ends(1, "ArtifactMissing", "There is nothing at s3://models/7"),
    ),
    "artifact-unreachable": Case(
        "failed",
        "ArtifactUnreachable",
        "The store does not answer",
        fetch=_ends(75, "ArtifactUnreachable", "The store does not answer"),
        transient=True,
    ),
    "fetching": Case("fetching", "", "", fetch="sleep 3600"),
    "starting": Case(
        "starting", "", "", server={"startupProbe": {**_PROBE, "failureThreshold": 900}}
    ),
    "too-slow": Case(
        "failed",
        "NotReadyInTime",
        "it did not start in time; its startup probe said: Startup probe failed",
        server={"startupProbe": _PROBE, "command": ["sleep", "3600"]},
        pod={"terminationGracePeriodSeconds": 0},
    ),
    "not-ready": Case(
        "starting",
        "WorkerDied",
        "it died",
        server={**_python(ANSWER), "readinessProbe": {**_PROBE, "failureThreshold": 1}},
    ),
    "ready": Case("ready", "", ""),
}
"""Phase, reason and words, as they are to be seen of a predictor that never served."""


PATIENT: dict[str, Mapping[str, Any]] = {
    "no-secret": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "absent"},
        "stringData": {"token": "t"},
    },
    "no-service-account": {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody"},
    },
}
"""The fix of each case that is waited for."""


def objects(name: str, case: Case, image: str, registry: str) -> list[dict[str, Any]]:
    """The objects of a case: those beside it, then its Deployment.

    Args:
        name: The predictor's.
        case: Which.
        image: The base image, as the node names it.
        registry: The registry, as the node names it.
    """
    safe = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    own = case.image.replace("REGISTRY", registry) or image
    server = {"command": WAIT, "image": own, "name": "server", "securityContext": safe}
    artifact = {"name": "artifact", "image": image, "securityContext": safe, **_shell(case.fetch)}
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [artifact],
        "containers": [{**server, **case.server}],
        **case.pod,
    }
    labels = {PREDICTOR: name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"schnitzel.dev/environment": "prod"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return [*(dict(each) for each in case.beside), deployment]
