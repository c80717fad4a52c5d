"""Build the Deployments and Services of a SeldonDeployment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from standins.seldon import pods, servers
from standins.seldon.pods import Object

MANAGED = "seldon-core"
ID = "seldon-deployment-id"
PATHS = {"seldon": "/api/v1.0/predictions", "tensorflow": "/v1/models/{graph}:predict"}
V2 = "/v2/models/{graph}/infer"


@dataclass
class Wanted:
    """What shall be there; `url` is the address in the status, "" without one."""

    deployments: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)
    url: str = ""
    unsized: set[str] = field(default_factory=set)
    """Deployments for which nobody says how many replicas, and no autoscaler does."""


def deployment_name(key: str, place: int, containers: list[str]) -> str:
    """What a component's Deployment is called."""
    name = f"{key}-{place}-{'-'.join(containers)}"
    if len(name) <= 63:
        return name
    return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def wanted(resource: Mapping[str, Any], config: Mapping[str, Any], initializer: str) -> Wanted:
    """What a resource shall become.

    Raises:
        servers.NoServer: a server is not in the config.
        IndexError: it has no predictors; this ends the operator.
    """
    spec, meta = resource["spec"], resource["metadata"]
    protocol = spec.get("protocol") or "seldon"
    context = pods.Context(meta["name"], protocol, config, initializer)
    first = spec["predictors"][0]
    found = Wanted()
    for predictor in spec["predictors"]:
        address = _predictor(resource, predictor, context, found)
        if predictor is first and address:
            path = PATHS.get(protocol, V2).format(graph=predictor["graph"]["name"])
            service, port = address
            found.url = f"http://{service}.{meta['namespace']}.svc.cluster.local:{port}{path}"
    return found


def _predictor(
    resource: Mapping[str, Any],
    predictor: Mapping[str, Any],
    context: pods.Context,
    found: Wanted,
) -> tuple[str, int] | None:
    """Add a predictor's objects; its Service and port, if it has one."""
    meta = resource["metadata"]
    key = f"{meta['name']}-{predictor['name']}"
    components = list(predictor.get("componentSpecs") or ())
    if not components and not servers.is_custom(predictor["graph"]):
        components = [{}]
    service = (predictor.get("annotations") or {}).get("seldon.io/svc-name") or key
    address: tuple[str, int] | None = None
    for place, component in enumerate(components):
        pod = pods.pod(predictor, component, context)
        name = deployment_name(key, place, pod.names)
        found.deployments.append(
            _deployment(resource, predictor, component, pod, name, found.unsized)
        )
        for unit, taken in pod.units.items():
            label = f"seldon-app-svc-{unit}"
            of_unit = f"{key}-{unit}"
            found.services.append(
                _service(resource, predictor, of_unit, {label: of_unit}, taken.http, taken.grpc)
            )
        if predictor["graph"]["name"] in pod.units:
            taken = pod.units[predictor["graph"]["name"]]
            engine = pods.with_engine(predictor)
            http, grpc = (8000, 5001) if engine else (taken.http, taken.grpc)
            found.services.append(
                _service(resource, predictor, service, {"seldon-app": key}, http, grpc)
            )
            address = service, http
    return address


def _labels(resource: Mapping[str, Any], predictor: Mapping[str, Any], name: str) -> Object:
    key = f"{resource['metadata']['name']}-{predictor['name']}"
    return {
        ID: resource["metadata"]["name"],
        "seldon-app": key,
        "app": name,
        "app.kubernetes.io/managed-by": MANAGED,
        "fluentd": "true",
        "version": predictor["name"],
        **({"seldon.io/shadow": "true"} if predictor.get("shadow") else {}),
    }


def _deployment(
    resource: Mapping[str, Any],
    predictor: Mapping[str, Any],
    component: Mapping[str, Any],
    pod: pods.Pod,
    name: str,
    unsized: set[str],
) -> Object:
    graph = {unit["name"]: unit for unit in pods.units(predictor["graph"])}
    labels = _labels(resource, predictor, name)
    for unit in pod.units:
        labels[f"seldon-app-svc-{unit}"] = f"{labels['seldon-app']}-{unit}"
        if graph[unit].get("type") == "MODEL":
            labels["seldon.io/model"] = "true"
    labels = {**(predictor.get("labels") or {}), **labels}
    own = dict(predictor.get("annotations") or {})
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/path": "/prometheus"}
    sizes = (component.get("replicas"), predictor.get("replicas"), resource["spec"].get("replicas"))
    replicas = next((size for size in sizes if size is not None), None)
    scaled = "hpaSpec" in component
    if replicas is None and not scaled:
        unsized.add(name)
    spec: Object = {
        "selector": {"matchLabels": {"app": name, ID: labels[ID]}},
        "progressDeadlineSeconds": predictor.get("progressDeadlineSeconds") or 600,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
        },
        "template": {
            "metadata": {"labels": labels, "annotations": {**own, **scraped}},
            "spec": pod.spec,
        },
    }
    if replicas is not None and not scaled:
        spec["replicas"] = replicas
    metadata = _metadata(resource, name, labels, own)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _service(
    resource: Mapping[str, Any],
    predictor: Mapping[str, Any],
    name: str,
    selector: dict[str, str],
    http: int,
    grpc: int,
) -> Object:
    labels = _labels(resource, predictor, name)
    numbers = (("http", http), ("grpc", grpc))
    spec = {
        "type": "ClusterIP",
        "selector": selector,
        "ports": [
            {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}
            for name, number in numbers
        ],
    }
    metadata = _metadata(resource, name, labels, dict(predictor.get("annotations") or {}))
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _metadata(
    resource: Mapping[str, Any], name: str, labels: Object, annotations: Object
) -> Object:
    meta = resource["metadata"]
    owner = {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "name": meta["name"],
        "uid": meta.get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": meta["namespace"],
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner],
    }
