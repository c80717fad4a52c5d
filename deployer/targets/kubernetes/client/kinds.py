"""List the kinds that the Deployer handles, their API paths, and their order of creation.

The table needs no discovery: the Deployer handles no kind outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the API names it."""

    api_version: str
    name: str
    plural: str
    immutable: tuple[str, ...] = ()
    """Fields, as dotted paths, that the API server refuses to change in place."""

    @property
    def resource(self) -> str:
        """The plural with its group, as `kubectl` takes it: "deployments.apps"."""
        group, _, version = self.api_version.rpartition("/")
        return f"{self.plural}.{group}" if group and version else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Build the path of a collection, an object, or a subresource.

        Without a namespace, the path is that of the whole cluster.
        """
        prefix = "apis" if "/" in self.api_version else "api"
        parts = [prefix, self.api_version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name,) if part]
        parts += [subresource] if subresource else []
        return "/" + "/".join(parts)


MODEL_DEPLOYMENT: Final = Kind("schnitzel.dev/v1alpha1", "ModelDeployment", "modeldeployments")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments", ("spec.selector",))
SERVICE: Final = Kind("v1", "Service", "services", ("spec.clusterIP",))
SELDON_DEPLOYMENT: Final = Kind(
    "machinelearning.seldon.io/v1", "SeldonDeployment", "seldondeployments"
)
AUTOSCALER: Final = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
POD: Final = Kind("v1", "Pod", "pods")
EVENT: Final = Kind("v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
JOB: Final = Kind("batch/v1", "Job", "jobs", ("spec.selector", "spec.template", "spec.completions"))
NAMESPACE: Final = Kind("v1", "Namespace", "namespaces")
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
NODE: Final = Kind("v1", "Node", "nodes")
GATEWAY: Final = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
CUSTOM_RESOURCE: Final = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"
)
ACCESS_REVIEW: Final = Kind(
    "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"
)

IN_ORDER: Final = (
    MODEL_DEPLOYMENT,
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    DEPLOYMENT,
    SELDON_DEPLOYMENT,
    JOB,
    SERVICE,
    DISRUPTION_BUDGET,
    AUTOSCALER,
    HTTP_ROUTE,
)
"""Kinds that others need come first: a pod mounts its ConfigMap, a route names a Service."""

_OTHERS: Final = (POD, EVENT, LEASE, NAMESPACE, NODE, GATEWAY, CUSTOM_RESOURCE, ACCESS_REVIEW)
_BY_NAME: Final = {(kind.api_version, kind.name): kind for kind in (*IN_ORDER, *_OTHERS)}
_RANK: Final = {kind.name: rank for rank, kind in enumerate(IN_ORDER)}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """Look up the kind of an object by its apiVersion and kind.

    Raises:
        KeyError: The kind is not in the table.
    """
    return _BY_NAME[obj["apiVersion"], obj["kind"]]


def apply_order(kind: Kind) -> int:
    """Return the place of a kind in the order of creation; deletion goes the other way."""
    return _RANK.get(kind.name, len(IN_ORDER))
