"""Check what the Deployer needs of a cluster, with the command that fixes each failure.

The checks change nothing: they ask the API server for rights, and addresses for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import httpx

from deployer.config.clusters import Cluster
from deployer.targets.base import PreflightCheck
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError, Forbidden, Missing
from deployer.targets.kubernetes.client.kinds import Kind

SECONDS: Final = 3.0
_KEPT: Final = ("get", "list", "watch", "create", "patch")
_NAMESPACES: Final = (
    "helm upgrade --reuse-values RELEASE helm/schnitzel, with the namespace in `namespaces`"
)
_OWN: Final = (*_KEPT, "delete")


class Permission(NamedTuple):
    """A right that the Deployer needs: verbs on all objects of a kind, or on one named object."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    name: str = ""


_RIGHTS: Final = (
    Permission("schnitzel.dev", "modeldeployments", _KEPT),
    Permission("schnitzel.dev", "modeldeployments/status", ("patch",)),
    Permission("", "configmaps", _OWN),
    Permission("apps", "deployments", _OWN),
    Permission("", "services", _OWN),
    Permission("autoscaling", "horizontalpodautoscalers", _OWN),
    Permission("policy", "poddisruptionbudgets", _OWN),
    Permission("gateway.networking.k8s.io", "httproutes", _OWN),
    Permission("", "pods", ("list", "watch")),
    Permission("", "pods/log", ("get",)),
    Permission("", "events", ("list", "create")),
)
_QUEUE_RIGHTS: Final = (Permission("", "pods", ("patch",)),)
_PROXY_RIGHTS: Final = (Permission("", "pods/proxy", ("get", "create")),)
_SELDON_RIGHTS: Final = (Permission("machinelearning.seldon.io", "seldondeployments", _OWN),)
_BUILD_RIGHTS: Final = (
    Permission("batch", "jobs", ("get", "create", "delete")),
    Permission("", "configmaps", ("get", "list", "create", "update", "delete")),
    Permission("", "pods", ("list",)),
    Permission("", "pods/log", ("get",)),
)


def check(
    client: Client, cluster: Cluster, namespaces: Sequence[str], lease: tuple[str, str]
) -> list[PreflightCheck]:
    """Check everything that the Deployer needs of a cluster.

    Args:
        client: The cluster; not guarded by a Lease, since a review of rights is a POST.
        cluster: The settings of the cluster.
        namespaces: The namespaces of its environments; "" for all.
        lease: The Lease's namespace and name; the Deployer needs no right to any other Lease.
    """
    found: list[PreflightCheck] = []
    for namespace in namespaces:
        found += _kinds(client, namespace)
        found.append(_rights(client, namespace, _RIGHTS))
        if not cluster.direct:
            fix = "helm upgrade --reuse-values --set rbac.proxy=true RELEASE helm/schnitzel"
            found.append(_rights(client, namespace, _PROXY_RIGHTS, "pods/proxy", fix))
        if cluster.brokers:
            found.append(_rights(client, namespace, _QUEUE_RIGHTS, "queues"))
        if cluster.seldon:
            fix = "install Seldon Core 1.17.1 (its Helm chart seldon-core-operator)"
            found.append(_kind(client, kinds.SELDON_DEPLOYMENT, namespace, fix))
            found.append(_rights(client, namespace, _SELDON_RIGHTS, "Seldon"))
    namespace, name = lease
    group = kinds.LEASE.api_version.partition("/")[0]
    rights = [
        Permission(group, kinds.LEASE.plural, ("create",)),
        Permission(group, kinds.LEASE.plural, ("get", "update"), name),
    ]
    found.append(_rights(client, namespace, rights, "Lease"))
    if cluster.registry:
        found.append(_rights(client, cluster.build.namespace, _BUILD_RIGHTS))
        scheme = "http" if cluster.registry.insecure else "https"
        host = cluster.registry.push.partition("/")[0]
        found.append(_answers("registry", f"{scheme}://{host}/v2/", "registry.push"))
    gateway = cluster.gateway
    found.append(_answers("gateway", str(gateway.probe_url or gateway.url), "gateway.url"))
    if cluster.artifacts.tracking_uri:
        url = f"{str(cluster.artifacts.tracking_uri).rstrip('/')}/health"
        found.append(_answers("artifacts", url, "artifacts.tracking_uri"))
    return found


def _kinds(client: Client, namespace: str) -> Iterator[PreflightCheck]:
    fixes = {
        kinds.MODEL_DEPLOYMENT: "kubectl apply --server-side -f helm/schnitzel/crd/",
        kinds.HTTP_ROUTE: "install the CRDs of the Gateway API, and a gateway for them",
    }
    for kind, fix in fixes.items():
        yield _kind(client, kind, namespace, fix)


def _kind(client: Client, kind: Kind, namespace: str, fix: str) -> PreflightCheck:
    where = namespace or "every namespace"
    name = f"{kind.plural} in {where}"
    try:
        next(client.pages(kind, namespace))
    except Missing:
        return PreflightCheck(name, "fail", f"The cluster does not know {kind.resource}.", fix)
    except Forbidden:
        return PreflightCheck(name, "ok", "known; the rights are listed below")
    except ApiError as error:
        return PreflightCheck(name, "fail", error.message, error.hint)
    return PreflightCheck(name, "ok", "known")


def _rights(
    client: Client,
    namespace: str,
    rights: Sequence[Permission],
    what: str = "permissions",
    fix: str = _NAMESPACES,
) -> PreflightCheck:
    name = f"{what} in {namespace or 'every namespace'}"
    lacking = []
    try:
        for right in rights:
            lacking += [
                f"{verb} {right.resource}"
                for verb in right.verbs
                if not _may(client, namespace, right, verb)
            ]
    except ApiError as error:
        return PreflightCheck(name, "fail", error.message, error.hint)
    if not lacking:
        return PreflightCheck(name, "ok", "all that are needed")
    return PreflightCheck(name, "fail", f"Our account may not {', '.join(lacking)}.", fix)


def _may(client: Client, namespace: str, right: Permission, verb: str) -> bool:
    resource, _, part = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "subresource": part, "verb": verb}
    attributes |= {"name": right.name} if right.name else {}
    review = {
        "apiVersion": kinds.ACCESS_REVIEW.api_version,
        "kind": kinds.ACCESS_REVIEW.name,
        "metadata": {},
        "spec": {"resourceAttributes": attributes | {"namespace": namespace}},
    }
    return bool(client.create(review).get("status", {}).get("allowed"))


def _answers(name: str, url: str, setting: str) -> PreflightCheck:
    try:
        answer = httpx.get(url, timeout=SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        message = f"{url} does not answer the Deployer ({type(error).__name__})."
        return PreflightCheck(
            name, "fail", message, f"correct clusters.NAME.{setting} in platform.yaml"
        )
    if answer.status_code >= 500:
        return PreflightCheck(
            name, "fail", f"{url} answers {answer.status_code}.", "look at its log"
        )
    return PreflightCheck(name, "ok", f"{url} answers")
