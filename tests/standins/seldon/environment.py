"""Build the variables that a container gets from its own and the operator's.

With the bug: a variable of the user's that is named like one of a port, the parameters or the
model's address takes everything before it along.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

Variables = list[dict[str, Any]]

MOUNT = "/mnt/models"


class Facts(NamedTuple):
    """What the operator says to one container."""

    deployment: str
    predictor: str
    container: str
    image: str
    http: int
    grpc: int
    metrics: int
    labels: dict[str, str]
    parameters: list[dict[str, str]]
    model_uri: bool
    more: tuple[tuple[str, str], ...] = ()


def with_variable(found: Variables, name: str, value: str, *, override: bool) -> Variables:
    """The variables and one more; the bug: none at all, if it is there and may not be changed."""
    if any(each["name"] == name for each in found):
        if not override:
            return []
        return [{"name": name, "value": value} if e["name"] == name else e for e in found]
    return [*found, {"name": name, "value": value}]


def variables(own: Variables, facts: Facts) -> Variables:
    """The user's variables, then the operator's, in its order."""
    http, grpc, metrics = str(facts.http), str(facts.grpc), str(facts.metrics)
    guarded = [
        ("PREDICTIVE_UNIT_SERVICE_PORT", http),
        ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", http),
        ("MLSERVER_HTTP_PORT", http),
        ("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", grpc),
        ("MLSERVER_GRPC_PORT", grpc),
    ]
    if facts.parameters:
        guarded.append(("PREDICTIVE_UNIT_PARAMETERS", json.dumps(facts.parameters)))
    if facts.model_uri:
        guarded.append(("MLSERVER_MODEL_URI", MOUNT))
    set_anyway = [
        ("PREDICTIVE_UNIT_ID", facts.container),
        ("MLSERVER_MODEL_NAME", facts.container),
        *facts.more,
        ("PREDICTIVE_UNIT_IMAGE", facts.image),
        ("PREDICTOR_ID", facts.predictor),
        ("PREDICTOR_LABELS", json.dumps(facts.labels, sort_keys=True)),
        ("SELDON_DEPLOYMENT_ID", facts.deployment),
        ("SELDON_EXECUTOR_ENABLED", "true"),
        ("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", metrics),
        ("MLSERVER_METRICS_PORT", metrics),
        ("PREDICTIVE_UNIT_METRICS_ENDPOINT", "/prometheus"),
        ("MLSERVER_METRICS_ENDPOINT", "/prometheus"),
    ]
    found = list(own)
    for name, value in guarded:
        found = with_variable(found, name, value, override=False)
    for name, value in set_anyway:
        found = with_variable(found, name, value, override=True)
    return found
