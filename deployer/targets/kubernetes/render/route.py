"""Build the HTTPRoute of a deployment, and read weights from an HTTPRoute and from answers.

One rule strips the deployment's prefix from the path and splits requests over the predictors'
Services. The rule also sets a header on every answer, which names the weights that were in force
for the answer. So the gateway itself reports what it serves, one request is enough, and the
Deployer has nothing to remember.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer import naming
from deployer.state.deployment import Deployment
from deployer.targets.kubernetes.render.metadata import metadata

HEADER = "x-schnitzel-route"
PORT = 8080
ADMIN_PORT = 8081
API_VERSION = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Parent:
    """The Gateway that routes are attached to; `section` is one of its listeners, "" for all."""

    name: str
    namespace: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels and annotations of a route that do not follow from its deployment.

    Attributes:
        platform: The platform's id.
        labels: More labels.
        annotations: More annotations.
    """

    platform: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def path(model: str, environment: str) -> str:
    """Build the path under which a deployment answers, with no slash at its end."""
    return f"/{environment}/{naming.url_segment(model)}"


def manifest(
    deployment: Deployment, namespace: str, parent: Parent, labels: Labels
) -> dict[str, Any] | None:
    """Build the HTTPRoute of a deployment; None if no predictor takes requests.

    The manifest names every field that the API server would default, so that the live route
    differs from it only where another actor changed the route.
    """
    weights = {
        weighted.predictor.name: weighted.weight
        for weighted in deployment.predictors
        if weighted.weight
    }
    if not weights:
        return None
    reference: dict[str, Any] = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": parent.name,
        "namespace": parent.namespace,
    }
    if parent.section:
        reference["sectionName"] = parent.section
    own = metadata(deployment, namespace, labels.platform, "route")
    return {
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": {
            **own,
            "labels": {**labels.labels, **own["labels"]},
            "annotations": {**labels.annotations, **own["annotations"]},
        },
        "spec": {
            "parentRefs": [reference],
            "rules": [_rule(path(deployment.model, deployment.environment), weights)],
        },
    }


def weights(route: Mapping[str, Any]) -> dict[str, int]:
    """Read the weight in percent, above 0, of each Service in an HTTPRoute of ours."""
    found: dict[str, int] = {}
    for rule in route.get("spec", {}).get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            weight = int(backend.get("weight", 1))
            if weight:
                found[str(backend.get("name"))] = weight
    return found


def weights_header(route: Mapping[str, Any]) -> str:
    """Read the header's value that an HTTPRoute sets on its answers; "" if it sets none."""
    for rule in route.get("spec", {}).get("rules") or ():
        for filter_ in rule.get("filters") or ():
            for header in filter_.get("responseHeaderModifier", {}).get("set") or ():
                if str(header.get("name")).lower() == HEADER:
                    return str(header.get("value"))
    return ""


def prefix(route: Mapping[str, Any]) -> str:
    """Read the path that an HTTPRoute of ours takes requests for; "" if it has none."""
    for rule in route.get("spec", {}).get("rules") or ():
        for match in rule.get("matches") or ():
            return str(match.get("path", {}).get("value", ""))
    return ""


def format_weights(weights: Mapping[str, int]) -> str:
    """Format weights for the header: "angler-prod-v1-1a2b3c4d=90, angler-prod-v2-...=10"."""
    return ", ".join(f"{name}={weight}" for name, weight in sorted(weights.items()))


def parse_weights(header: str) -> dict[str, int] | None:
    """Parse the weights in a header; None if the header is not ours."""
    found = {}
    for part in header.split(","):
        name, _, weight = part.strip().partition("=")
        if not name or not weight.isdecimal():
            return None
        found[name] = int(weight)
    return found


def refusal(route: Mapping[str, Any]) -> str:
    """Read why the gateway refuses an HTTPRoute, from the route's status; "" if it does not.

    Conditions of an older generation of the route do not count.
    """
    generation = route.get("metadata", {}).get("generation")
    found = []
    for parent in route.get("status", {}).get("parents") or ():
        for condition in parent.get("conditions") or ():
            current = condition.get("observedGeneration") in (None, generation)
            if condition.get("status") == "False" and current:
                message = condition.get("message") or ""
                found.append(f"{condition.get('reason')} {message}".strip())
    return "; ".join(found)


def _rule(prefix: str, weights: Mapping[str, int]) -> dict[str, Any]:
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    header = {"set": [{"name": HEADER, "value": format_weights(weights)}]}
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": rewrite},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": header},
        ],
        "backendRefs": [
            {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}
            for name, weight in sorted(weights.items())
        ],
    }
