"""Build the complete manifests of a predictor's objects, with their owner.

The chart renders the manifests; this module adds the facts that no chart can know: the owner's uid,
and the image that the Deployer chose.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import deployer
from deployer.config.clusters import Cluster
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import Owner
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.render import consumption, route, values
from deployer.targets.kubernetes.render.charts import Charts, Manifest
from deployer.targets.kubernetes.render.runtimes import RUNTIMES, runtime_of

IMAGE: Final = "schnitzel.dev/image"
"""Annotation of the object that has the pods: the chosen image; another image counts as drift."""


class Manifests:
    """A builder of the manifests of one cluster's deployments.

    Args:
        charts: The charts.
        cluster: The settings of the cluster.
        platform_id: The platform that owns the objects.
        tracking_url: MLflow's address, for pods whose cluster names no other.
    """

    def __init__(
        self, charts: Charts, cluster: Cluster, platform_id: str, tracking_url: str
    ) -> None:
        self._charts = charts
        self._cluster = cluster
        self._platform_id = platform_id
        self._tracking_url = tracking_url
        gateway = cluster.gateway
        self._parent = route.Parent(gateway.name, gateway.namespace, gateway.section or "")

    @cached_property
    def version(self) -> str:
        """The version of charts and server image that predictors are now rendered with.

        A hash follows the version of our own server's chart. It covers the content of all charts,
        and the values that the cluster's settings and this release give a sample predictor. So any
        change that would affect all pods at once is another version, which reaches them in batches.
        """
        place = values.Place("d", "m", "e", self._platform_id)
        source = values.Source("mlflow-artifacts:/s", self._tracking_url)
        found: list[object] = []
        for name, runtime in RUNTIMES.items():
            spec = ServingSpec.model_validate({"runtime": name})
            sample = Predictor("p", VersionId("m", 1, 1), Role.CHAMPION, "d", "s", spec)
            made = values.values(sample, place, self._cluster, "image", source)
            found.append([self._charts.content(runtime.chart), made])
        content = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]
        chart = self._charts.version(RUNTIMES["mlflow"].chart)
        return f"{chart}+{content} {self._cluster.server_image}"

    @cached_property
    def origin(self) -> str:
        """A hash of charts, settings and our own code; while it stays, so does every manifest."""
        found = hashlib.sha256()
        for runtime in RUNTIMES.values():
            found.update(self._charts.content(runtime.chart).encode())
        settings = [self._cluster.model_dump(mode="json"), self._platform_id, self._tracking_url]
        found.update(json.dumps(settings, sort_keys=True).encode())
        for path in sorted(Path(deployer.__file__).parent.rglob("*.py")):
            found.update(path.read_bytes())
        return found.hexdigest()

    def predictor(
        self,
        deployment: Deployment,
        predictor: Predictor,
        namespace: str,
        image: str,
        owner: Owner,
    ) -> list[Manifest]:
        """Build the manifests of one predictor.

        Raises:
            RenderError: The chart refuses the values.
        """
        place = values.Place(
            deployment.id, deployment.model, deployment.environment, self._platform_id
        )
        source = values.Source(predictor.source, self._tracking_url)
        found = values.values(predictor, place, self._cluster, image, source)
        chart = runtime_of(predictor.spec).chart
        rendered = self._charts.render(chart, predictor.name, namespace, found)
        return [with_owner(_noted(manifest, found["image"]), owner) for manifest in rendered]

    def route(self, deployment: Deployment, namespace: str, owner: Owner) -> Manifest | None:
        """Build the HTTPRoute of a deployment; None if no predictor takes requests."""
        labels = route.Labels(self._platform_id)
        found = route.manifest(deployment, namespace, self._parent, labels)
        return with_owner(found, owner) if found else None

    def shares(self, deployment: Deployment, namespace: str, owner: Owner) -> Manifest | None:
        """Build the ConfigMap with the shares of a queue's messages; None without a queue."""
        found = consumption.manifest(deployment, namespace, self._platform_id)
        return with_owner(found, owner) if found else None


def with_owner(manifest: Mapping[str, Any], owner: Owner) -> Manifest:
    """Add the ModelDeployment as owner, so that the object is deleted with it.

    Without a ModelDeployment the manifest stays as it is.
    """
    if not owner.uid:
        return dict(manifest)
    references = [crd.owner_reference(owner.deployment, owner.uid)]
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": references}}


def _noted(manifest: Manifest, image: str) -> Manifest:
    if manifest["kind"] not in (DEPLOYMENT.name, SELDON_DEPLOYMENT.name):
        return manifest
    notes = {**(manifest["metadata"].get("annotations") or {}), IMAGE: image}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": notes}}
