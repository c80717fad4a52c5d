"""Render the manifests of a deployment, and keep the objects of an earlier chart.

Apply and preview both render here, and nowhere else, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deployer.state.deployment import Deployment
from deployer.state.predictor import Predictor
from deployer.targets.kubernetes.cache.objects import Key, LiveObject, digest_of, key_of
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT
from deployer.targets.kubernetes.context import LiveDeployment
from deployer.targets.kubernetes.render.manifests import IMAGE, Manifests
from deployer.targets.kubernetes.render.runtimes import runtime_of

UNBUILT: Final = "not-built-yet"
"""The placeholder for an image whose name is not known."""

SERVER: Final = "server"
"""The container that serves."""

ImageOf = Callable[[Predictor, Sequence[LiveObject]], str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The wanted objects of a deployment.

    Attributes:
        manifests: The manifests of all objects that are rendered now.
        keep: Objects of predictors of an earlier chart, which stay as they were rendered.
        missing: Predictors that cannot be rendered yet: their image is not known.
    """

    manifests: tuple[dict[str, Any], ...]
    keep: frozenset[Key]
    missing: tuple[Predictor, ...]


class DeploymentRenderer:
    """A renderer of whole deployments of one cluster."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests

    @property
    def version(self) -> str:
        """The version of charts and server image that predictors are now rendered with."""
        return self._manifests.version

    @property
    def origin(self) -> str:
        """A digest of the common inputs of all manifests."""
        return self._manifests.origin

    def of(
        self,
        deployment: Deployment,
        there: LiveDeployment,
        image_of: ImageOf,
    ) -> Rendered:
        """Render a deployment.

        Args:
            deployment: The wanted deployment.
            there: What the cluster holds of it; if the owner has no uid, no manifest names it.
            image_of: Returns the image of a predictor with these objects; "" if not known yet.

        Raises:
            RenderError: The chart refuses the values.
        """
        found: list[dict[str, Any]] = []
        keep: set[Key] = set()
        missing = []
        for weighted in deployment.predictors:
            predictor = weighted.predictor
            own = there.of(predictor.name)
            if self._earlier(predictor, own):
                keep |= {obj.key for obj in own}
                continue
            image = image_of(predictor, own)
            if not image:
                missing.append(predictor)
                continue
            found += self._manifests.predictor(
                deployment, predictor, there.namespace, image, there.owner
            )
        for build in (self._manifests.shares, self._manifests.route):
            manifest = build(deployment, there.namespace, there.owner)
            found += [manifest] if manifest else []
        return Rendered(tuple(found), frozenset(keep), tuple(missing))

    def prints(self, deployment: Deployment, there: LiveDeployment) -> list[object]:
        """Digest each object, as far as it is known before any build or fetch.

        The digests leave out the image that is built for a version, its pinned artifact, and the
        uid of the owner: these follow from the version and the server, and change nothing that an
        operator decides on.
        """
        bare = replace(
            deployment,
            predictors=tuple(
                replace(weighted, predictor=replace(weighted.predictor, artifact=""))
                for weighted in deployment.predictors
            ),
        )
        unowned = replace(there, owner=replace(there.owner, uid=""))
        rendered = self.of(bare, unowned, lambda *_: UNBUILT)
        kept = [
            [weighted.predictor.name, weighted.predictor.server]
            for weighted in deployment.predictors
            if any(obj.key in rendered.keep for obj in there.of(weighted.predictor.name))
        ]
        return [[str(key_of(m)), digest_of(m)] for m in rendered.manifests] + [["kept", kept]]

    def _earlier(self, predictor: Predictor, own: Sequence[LiveObject]) -> bool:
        """Decide whether a predictor is whole and of an earlier chart, and so stays as it is."""
        there = {obj.kind for obj in own if not obj.deleting}
        return (
            predictor.server != self._manifests.version
            and there >= runtime_of(predictor.spec).whole
        )


def image_in_use(own: Sequence[LiveObject]) -> str:
    """Return the image of a predictor, from the live object that has its pods; "" if none.

    The image comes from our annotation, so that a container's image that another actor changed is
    not taken for ours.
    """
    for obj in own:
        if obj.kind in (DEPLOYMENT, SELDON_DEPLOYMENT) and not obj.deleting:
            whole = obj.object()
            noted = (whole["metadata"].get("annotations") or {}).get(IMAGE)
            if noted:
                return str(noted)
            if obj.kind == DEPLOYMENT and obj.applied:
                containers = whole["spec"]["template"]["spec"]["containers"]
                return next((str(c["image"]) for c in containers if c["name"] == SERVER), "")
    return ""
