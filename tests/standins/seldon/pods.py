"""Build the pod that the operator makes of one component of a predictor."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from standins.seldon import environment, ports, servers

Object = dict[str, Any]

ENGINE = "seldon-container-engine"
ENGINE_IMAGE = "localhost:9/seldonio/seldon-core-executor:1.17.1"
"""It cannot be had where the tests run; the address refuses at once."""
UID = 8888
NO_ENGINE = "seldon.io/no-engine"
SLEEP = {"preStop": {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}}


@dataclass
class Context:
    """What a pod depends on besides its component."""

    deployment: str
    protocol: str
    config: Mapping[str, Any]
    initializer: str
    counter: ports.Counter = field(default_factory=ports.Counter)


@dataclass
class Pod:
    """A pod, and what Services need to know of it: the ports of each unit, by its name."""

    spec: Object
    names: list[str]
    units: dict[str, ports.Ports]


def units(graph: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The graph and all below it."""
    yield graph
    for child in graph.get("children") or ():
        yield from units(child)


def with_engine(predictor: Mapping[str, Any]) -> bool:
    """Whether the operator puts its engine before the graph."""
    return (predictor.get("annotations") or {}).get(NO_ENGINE) != "true"


def pod(predictor: Mapping[str, Any], component: Mapping[str, Any], context: Context) -> Pod:
    """The pod of one component."""
    spec = copy.deepcopy(dict(component.get("spec") or {}))
    containers = spec.setdefault("containers", [])
    graph = {unit["name"]: unit for unit in units(predictor["graph"])}
    for name, unit in graph.items():
        if not servers.is_custom(unit) and all(c["name"] != name for c in containers):
            containers.append({"name": name})
    names = [container["name"] for container in containers]
    found: dict[str, ports.Ports] = {}
    for container in list(containers):
        taken = context.counter.take(predictor["name"], container)
        unit = graph.get(container["name"])
        if unit is not None:
            _complete(container, unit, predictor, taken, context)
            _serve(spec, container, unit, taken, context)
            found[container["name"]] = taken
    if found:
        volumes = spec.setdefault("volumes", [])
        if all(each["name"] != "seldon-podinfo" for each in volumes):
            volumes.append(_podinfo())
    if with_engine(predictor):
        containers.append(_engine(context.protocol))
    spec.setdefault("terminationGracePeriodSeconds", 20)
    spec.setdefault("securityContext", {"runAsUser": UID})
    return Pod(spec, names, found)


def _complete(
    container: Object,
    unit: Mapping[str, Any],
    predictor: Mapping[str, Any],
    taken: ports.Ports,
    context: Context,
) -> None:
    """What a container gets that the graph names: ports, variables, probes, a pause at its end."""
    implementation = unit.get("implementation", "")
    served = not servers.is_custom(unit) and implementation != servers.TENSORFLOW
    v2 = served and context.protocol in ("v2", "kfserving")
    container["ports"] = ports.declared(container, taken, metrics=not v2)
    facts = environment.Facts(
        context.deployment,
        predictor["name"],
        container["name"],
        container.get("image", ""),
        taken.http,
        taken.grpc,
        taken.metrics,
        {"version": predictor["name"], **(predictor.get("labels") or {})},
        servers.parameters(unit, implementation, context.protocol),
        bool(unit.get("modelUri")),
        servers.v2_variables(implementation, context.protocol),
    )
    container["env"] = environment.variables(container.get("env") or [], facts)
    for name, delay in (("livenessProbe", 60), ("readinessProbe", 20)):
        handler: Object = {"tcpSocket": {"port": "http"}}
        if v2:
            end = "live" if name == "livenessProbe" else "ready"
            handler = {"httpGet": {"path": f"/v2/health/{end}", "port": "http"}}
        own = container.get(name)
        if own is None:
            container[name] = {"initialDelaySeconds": delay, "periodSeconds": 5} | handler
        elif v2:
            kinds = ("httpGet", "tcpSocket", "exec", "grpc")
            container[name] = {k: v for k, v in own.items() if k not in kinds} | handler
    container.setdefault("lifecycle", SLEEP)
    mounts = container.setdefault("volumeMounts", [])
    if all(each["mountPath"] != "/etc/podinfo" for each in mounts):
        mounts.append({"name": "seldon-podinfo", "mountPath": "/etc/podinfo"})


def _serve(
    spec: Object,
    container: Object,
    unit: Mapping[str, Any],
    taken: ports.Ports,
    context: Context,
) -> None:
    """Image, arguments and model of a container, by what the graph says serves it."""
    implementation, name = unit.get("implementation", ""), container["name"]
    holder = container
    if not servers.is_custom(unit):
        image = servers.image_of(context.config, implementation, context.protocol)
        if implementation != servers.TENSORFLOW:
            container.setdefault("image", image)
        elif context.protocol == "tensorflow":
            container.setdefault("image", image)
            container.setdefault("args", servers.tensorflow_args(taken.http, taken.grpc, name))
        else:
            container["image"] = image
            holder = _behind_the_proxy(spec, name, context)
    if unit.get("modelUri"):
        _initialize(spec, holder, unit, context)


def _behind_the_proxy(spec: Object, name: str, context: Context) -> Object:
    """TensorFlow Serving itself, where the container of the graph's name is its proxy."""
    containers = spec["containers"]
    found: Object | None = next((c for c in containers if c["name"] == servers.PROXIED), None)
    if found is None:
        found = {"name": servers.PROXIED}
        containers.append(found)
    image = servers.image_of(context.config, servers.TENSORFLOW, "tensorflow")
    found.setdefault("image", image)
    found.setdefault("args", servers.tensorflow_args(2001, 2000, name))
    found.setdefault("ports", [{"containerPort": 2000}, {"containerPort": 2001}])
    return found


def _initialize(spec: Object, container: Object, unit: Mapping[str, Any], context: Context) -> None:
    """The init container that fetches the model, its volume, and the mount of it."""
    name, volume = (
        f"{container['name']}-model-initializer",
        f"{container['name']}-provision-location",
    )
    inits = spec.setdefault("initContainers", [])
    if all(each["name"] != name for each in inits):
        secret = unit.get("envSecretRefName")
        inits.append(
            {
                "name": name,
                "image": unit.get("storageInitializerImage") or context.initializer,
                "args": [unit["modelUri"], environment.MOUNT],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "100Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "volumeMounts": [{"name": volume, "mountPath": environment.MOUNT}],
                **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
            }
        )
    volumes = spec.setdefault("volumes", [])
    if all(each["name"] != volume for each in volumes):
        volumes.append({"name": volume, "emptyDir": {}})
    mounts = container.setdefault("volumeMounts", [])
    if all(each["mountPath"] != environment.MOUNT for each in mounts):
        mounts.append({"name": volume, "mountPath": environment.MOUNT, "readOnly": True})


def _podinfo() -> Object:
    item = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
    return {"name": "seldon-podinfo", "downwardAPI": {"items": [item]}}


def _engine(protocol: str) -> Object:
    return {
        "name": ENGINE,
        "image": ENGINE_IMAGE,
        "args": ["--protocol", protocol],
        "ports": [{"name": "rest", "containerPort": 8000}, {"name": "grpc", "containerPort": 5001}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "500m"}},
    }
