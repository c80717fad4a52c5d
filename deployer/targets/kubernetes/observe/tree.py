"""Build the tree of a deployment's objects, each with its health.

Pure. The ModelDeployment owns predictors' objects and the route; pods hang under their Deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.plan.preview import Node
from deployer.state.observed import Observed
from deployer.state.record import Record
from deployer.targets import tree
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    MODEL_DEPLOYMENT,
    POD,
    apply_order,
)
from deployer.targets.kubernetes.diagnosis import problems
from deployer.targets.kubernetes.render import route
from deployer.targets.tree import one_line

Object = Mapping[str, Any]


def of(record: Record, live: Sequence[LiveObject], observed: Observed) -> Node:
    """Build the tree of one deployment.

    Args:
        record: The deployment's record.
        live: All its objects, pods included.
        observed: The observation of its predictors and of the gateway.
    """
    top = next((obj for obj in live if obj.kind == MODEL_DEPLOYMENT), None)
    whole = top.object() if top else {}
    status = whole.get("status") or {}
    state = str(status.get("state") or ("" if top else "absent"))
    names = list(dict.fromkeys([*observed.predictors, *sorted({o.predictor for o in live} - {""})]))
    children = [_predictor(name, record, live, observed) for name in names]
    children += [_route(obj, observed) for obj in live if obj.kind == HTTP_ROUTE]
    return Node(
        "ModelDeployment",
        record.id,
        "Deleting" if top and top.deleting else state,
        str(status.get("ready") or ""),
        f"in {top.key.namespace}" if top else "",
        one_line(
            status.get("message") if state in ("Degraded", "Failed") else "; ".join(observed.drift)
        ),
        tuple(children),
    )


def _predictor(name: str, record: Record, live: Sequence[LiveObject], observed: Observed) -> Node:
    own = sorted(
        (obj for obj in live if obj.predictor == name and obj.kind != POD),
        key=lambda obj: (obj.kind != DEPLOYMENT, apply_order(obj.kind), obj.key.name),
    )
    pods = [obj for obj in live if obj.predictor == name and obj.kind == POD]
    children = [_object(obj, pods, observed.at) for obj in own]
    if not any(obj.kind == DEPLOYMENT for obj in own):
        children += [_pod(pod.object(), {}, observed.at) for pod in pods]
    seen = observed.predictors.get(name)
    if seen is None:
        return Node("Predictor", name, "is_terminating", children=tuple(children))
    status = str(seen.phase)
    if name in record.leaving:
        status = "standby" if name in record.warm else "draining"
    return tree.predictor(seen, status, tuple(children))


def _object(obj: LiveObject, pods: Sequence[LiveObject], now: float) -> Node:
    whole = obj.object()
    kind, name = obj.key.kind, obj.key.name
    status = "Deleting" if obj.deleting else ""
    if obj.kind == DEPLOYMENT:
        counts = whole.get("status", {})
        wanted, ready = whole["spec"].get("replicas", 1), counts.get("readyReplicas") or 0
        health = "Ready" if ready >= wanted else "NotReady"
        found = sorted((pod.object() for pod in pods), key=lambda pod: str(pod["metadata"]["name"]))
        own = problems(whole, (), (), now)
        return Node(
            kind,
            name,
            status or health,
            f"{ready}/{wanted}",
            problem=one_line(own[0].message) if own else "",
            children=tuple(_pod(pod, whole, now) for pod in found),
        )
    return Node(kind, name, status, detail=_DETAIL.get(kind, lambda _: "")(whole))


def _pod(pod: Object, deployment: Object, now: float) -> Node:
    status = pod.get("status", {})
    containers = status.get("containerStatuses") or []
    states = [*(status.get("initContainerStatuses") or []), *containers]
    waiting = [
        str(reason)
        for each in states
        if (reason := (each.get("state", {}).get("waiting") or {}).get("reason"))
        not in (None, "PodInitializing", "ContainerCreating")
    ]
    status_text = next(iter(waiting), str(status.get("phase") or "Pending"))
    if pod["metadata"].get("deletionTimestamp"):
        status_text = "Terminating"
    restarts = sum(int(each.get("restartCount") or 0) for each in containers)
    node = pod.get("spec", {}).get("nodeName")
    detail = [f"on {node}" if node else "", f"{restarts} restarts" if restarts else ""]
    # A pod that was ready once is judged as such: then the kubelet restarts it after a crash.
    found = problems(deployment, [pod], (), now) if status_text != "Terminating" else []
    ready = sum(1 for each in containers if each.get("ready"))
    return Node(
        "Pod",
        str(pod["metadata"]["name"]),
        status_text,
        f"{ready}/{len(pod.get('spec', {}).get('containers') or containers)}",
        ", ".join(filter(None, detail)),
        one_line(found[0].message) if found else "",
    )


def _route(obj: LiveObject, observed: Observed) -> Node:
    whole = obj.object()
    refusal = route.refusal(whole)
    parents = whole.get("status", {}).get("parents") or ()
    status_text = "Refused" if refusal else "Accepted" if parents else "Unseen"
    weights = ", ".join(f"{n} {w} %" for n, w in sorted(route.weights(whole).items()))
    detail = f"{route.prefix(whole)}: {weights}"
    problem = one_line(refusal or observed.gateway_error)
    return Node(
        "HTTPRoute", obj.key.name, "Deleting" if obj.deleting else status_text, "", detail, problem
    )


def _autoscaler(whole: Object) -> str:
    spec, status = whole["spec"], whole.get("status") or {}
    now = status.get("currentReplicas") or 0
    return f"{spec.get('minReplicas', 1)} to {spec['maxReplicas']} replicas, now {now}"


def _budget(whole: Object) -> str:
    spec, status = whole["spec"], whole.get("status") or {}
    rule = [f"{name} {spec[name]}" for name in ("minAvailable", "maxUnavailable") if name in spec]
    return f"{', '.join(rule)}; {status.get('disruptionsAllowed') or 0} may go now"


def _service(whole: Object) -> str:
    ports = ", ".join(str(port["port"]) for port in whole["spec"].get("ports") or ())
    return f"port {ports}" if ports else ""


_DETAIL = {
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "Service": _service,
}
