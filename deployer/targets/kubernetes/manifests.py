"""In: a predictor and the image that it runs. Out: its objects' manifests, owned and complete.

The chart renders them; what no chart can know (the owner's uid) is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deployer.clusters import Cluster
from deployer.state import Deployment, Predictor
from deployer.targets.kubernetes import crd, route, values
from deployer.targets.kubernetes.ownership import Owner
from deployer.targets.kubernetes.render import Charts, Manifest

CHART: Final = "model-server"


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

    @property
    def version(self) -> str:
        """The version of chart and server image that predictors are rendered with now."""
        return f"{self._charts.version(CHART)} {self._cluster.server_image}"

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
        rendered = self._charts.render(CHART, predictor.name, namespace, found)
        return [owned(manifest, owner) for manifest in rendered]

    def route(self, deployment: Deployment, namespace: str, owner: Owner) -> Manifest | None:
        """The HTTPRoute of a deployment; None if nothing takes requests."""
        labels = route.Labels(self._platform_id)
        found = route.manifest(deployment, namespace, self._parent, labels)
        return owned(found, owner) if found else None


def owned(manifest: Mapping[str, Any], owner: Owner) -> Manifest:
    """A manifest whose object goes when the ModelDeployment goes."""
    references = [crd.owner_reference(owner.deployment, owner.uid)]
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": references}}
