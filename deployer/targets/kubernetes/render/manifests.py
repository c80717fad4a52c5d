"""In: a predictor and the image that it runs. Out: its objects' manifests, owned and complete.

The chart renders them; what no chart can know (the owner's uid, and which image we chose) is added
here.
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
from deployer.state.deployment import Deployment, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import Owner
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.render import route, values
from deployer.targets.kubernetes.render.charts import Charts, Manifest
from deployer.targets.kubernetes.render.runtimes import RUNTIMES, runtime_of

IMAGE: Final = "schnitzel.dev/image"
"""Annotation of what has the pods: the image that we chose; another one there counts as drift."""


class Manifests:
    """Makes the manifests of one cluster's deployments.

    Args:
        charts: Helm's.
        cluster: its settings.
        platform_id: whose objects they are.
        tracking_url: MLflow's address, for pods that are given no other.
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
        """The version of charts and server image that predictors are rendered with now.

        After the version of our own server's chart stands a hash of the content of all charts, and
        of what the cluster's settings and this release make of a predictor. So whatever would
        change all pods at once is another version, which reaches them in batches.
        """
        place = values.Place("d", "m", "e", self._platform_id)
        source = values.Source("mlflow-artifacts:/s", self._tracking_url)
        found: list[object] = []
        for name, runtime in RUNTIMES.items():
            spec = ServingSpec.model_validate({"runtime": name}).model_dump(mode="json")
            sample = Predictor("p", VersionId("m", 1, 1), Role.CHAMPION, "d", "s", spec)
            made = values.values(sample, place, self._cluster, "image", source)
            found.append([self._charts.content(runtime.chart), made])
        content = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]
        chart = self._charts.version(RUNTIMES["mlflow"].chart)
        return f"{chart}+{content} {self._cluster.server_image}"

    @cached_property
    def origin(self) -> str:
        """A hash of chart, settings and our own code; while it stays, so does every manifest."""
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
        """The objects of one predictor.

        Raises:
            RenderError: the chart refuses the values.
        """
        place = values.Place(
            deployment.id, deployment.model, deployment.environment, self._platform_id
        )
        source = values.Source(predictor.source, self._tracking_url)
        found = values.values(predictor, place, self._cluster, image, source)
        chart = runtime_of(predictor.spec).chart
        rendered = self._charts.render(chart, predictor.name, namespace, found)
        return [owned(_noted(manifest, found["image"]), owner) for manifest in rendered]

    def route(self, deployment: Deployment, namespace: str, owner: Owner) -> Manifest | None:
        """The HTTPRoute of a deployment; None if nothing takes requests."""
        labels = route.Labels(self._platform_id)
        found = route.manifest(deployment, namespace, self._parent, labels)
        return owned(found, owner) if found else None


def owned(manifest: Mapping[str, Any], owner: Owner) -> Manifest:
    """A manifest whose object goes when the ModelDeployment goes; unchanged while there is none."""
    if not owner.uid:
        return dict(manifest)
    references = [crd.owner_reference(owner.deployment, owner.uid)]
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": references}}


def _noted(manifest: Manifest, image: str) -> Manifest:
    if manifest["kind"] not in (DEPLOYMENT.name, SELDON_DEPLOYMENT.name):
        return manifest
    notes = {**(manifest["metadata"].get("annotations") or {}), IMAGE: image}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": notes}}
