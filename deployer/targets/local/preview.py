"""Preview the changes that a plan leads to on this machine, and build the tree of a deployment.

Here a predictor is, for each replica, a `Server` (the configuration that its model server reads), a
`Program` (the program that supervisord runs), and a share of the deployment's `Route` (the file
that Traefik reads). A running server is not touched; its configuration is written at its start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from deployer.plan.diff import differing
from deployer.plan.preview import Act, Node, ObjectChange, Preview, digest_of
from deployer.plan.redact import masked
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.targets import tree as nodes
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.gateway import Gateway, config
from deployer.targets.tree import one_line

PORT = "(chosen at its start)"
UNKNOWN = "(not known yet)"

Values = dict[str, Any]
ProgramOf = Callable[[str, Predictor], Values]
PlaceOf = Callable[[Predictor], tuple[str, str]]


def preview(
    deployment: Deployment,
    files: PredictorFiles,
    gateway: Gateway,
    running: Collection[str],
    program_of: ProgramOf,
    place_of: PlaceOf,
) -> Preview:
    """List the objects that `apply` would write and remove.

    Args:
        deployment: The deployment that the plan leads to.
        files: The predictors' folders.
        gateway: The routes.
        running: The replicas that supervisord knows.
        program_of: Returns the program that supervisord would run for a replica.
        place_of: Returns the paths of a predictor's files and interpreter; "" for a missing one.
    """
    found: list[ObjectChange] = []
    unknown: list[str] = []
    prints: list[object] = []
    for weighted in deployment.predictors:
        predictor = weighted.predictor
        restart = predictor.name in deployment.restart
        new = [name for name in files.replicas(predictor) if restart or name not in running]
        place = place_of(predictor)
        if new:
            unknown += _unknown(predictor, place)
        for name in files.replicas(predictor):
            bare = files.config(deployment, predictor, name, "", "")
            prints.append([bare, program_of(name, predictor)])
            if name in new:
                there = tuple(each or UNKNOWN for each in place)
                ports = {"port": PORT, "admin_port": PORT}
                server = bare | {"artifact": there[0], "python": there[1]} | ports
                found.append(_change("Server", name, files.server(name) or None, server))
                program = program_of(name, predictor)
                found.append(
                    _change("Program", name, program if name in running else None, program)
                )
    kept = {weighted.predictor.name for weighted in deployment.predictors}
    gone = [d.predictor for d in files.all() if d.deployment == deployment.id]
    route = _route(deployment, files, gateway)
    found += [route] if route else []
    why = "nothing needs it any more"
    for predictor in sorted(gone, key=lambda one: one.name):
        for name in files.replicas(predictor) if predictor.name not in kept else ():
            found += [ObjectChange(Act.DELETE, kind, name, why=why) for kind in _OF_A_REPLICA]
    prints.append(_wanted(deployment, gateway, lambda one: [PORT for _ in files.replicas(one)]))
    return Preview(tuple(found), tuple(unknown), digest_of(prints))


def tree(deployment: str, observed: Observed, parts: Mapping[str, list[Values]]) -> Node:
    """Build the tree of a deployment.

    Args:
        deployment: The deployment's id.
        observed: The observation of its predictors and of the gateway.
        parts: For each predictor its replicas: name, phase, pid, port, message.
    """
    children = [
        nodes.predictor(seen, str(seen.phase), tuple(_process(part) for part in parts[name]))
        for name, seen in sorted(observed.predictors.items())
    ]
    live = {n: s.live_weight for n, s in sorted(observed.predictors.items()) if s.live_weight}
    weights = ", ".join(f"{name} {weight} %" for name, weight in live.items())
    problem = one_line(observed.gateway_error)
    status = "Unseen" if problem else "Serving" if weights else "absent"
    children.append(Node("Route", deployment, status, "", weights, problem))
    return Node("ModelDeployment", deployment, children=tuple(children))


_OF_A_REPLICA = ("Program", "Server")


def _process(part: Values) -> Node:
    known = [f"{name} {part[name]}" for name in ("pid", "port") if part.get(name)]
    text = f"{part['reason']}: {part['message']}" if part.get("reason") else part.get("message")
    return Node("Process", part["name"], str(part["phase"]), "", ", ".join(known), one_line(text))


def _change(kind: str, name: str, before: Values | None, after: Values) -> ObjectChange:
    fields = tuple(masked(each) for each in differing(before or {}, after))
    return ObjectChange(Act.CREATE if before is None else Act.UPDATE, kind, name, fields=fields)


def _route(deployment: Deployment, files: PredictorFiles, gateway: Gateway) -> ObjectChange | None:
    def ports(predictor: Predictor) -> list[object]:
        return list(files.ports(predictor)) or [PORT for _ in files.replicas(predictor)]

    before, after = gateway.written(deployment.id), _wanted(deployment, gateway, ports)
    if after is None:
        why = "nothing is to be served"
        return ObjectChange(Act.DELETE, "Route", deployment.id, why=why) if before else None
    change = _change("Route", deployment.id, before, after)
    return change if change.fields else None


def _wanted(
    deployment: Deployment, gateway: Gateway, ports: Callable[[Predictor], list[object]]
) -> Values | None:
    shares = {
        s.predictor.name: (ports(s.predictor), s.weight) for s in deployment.predictors if s.weight
    }
    place = (deployment.id, deployment.model, deployment.environment)
    return config(*place, shares, gateway.servers) or None


def _unknown(predictor: Predictor, place: tuple[str, str]) -> list[str]:
    version = f"version {predictor.version.number}"
    notes = [f"The ports of {version} are chosen when it starts; they are no part of the digest."]
    if not all(place):
        notes.append(
            f"Where the files and the environment of {version} are is known once it is fetched and "
            "built; it is no part of the digest."
        )
    return notes
