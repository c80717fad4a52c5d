"""In: a deployment and what is there of it. Out: its manifests, and what stays as it was rendered.

What is applied and what is shown are rendered here, and nowhere else, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deployer.state.deployment import Deployment, Predictor
from deployer.targets.kubernetes.cache.objects import Key, LiveObject, Owner, digest_of, key_of
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, SELDON_DEPLOYMENT
from deployer.targets.kubernetes.render.manifests import IMAGE, Manifests
from deployer.targets.kubernetes.render.runtimes import runtime_of

UNBUILT: Final = "not-built-yet"
"""Stands for an image whose name is not known."""

SERVER: Final = "server"
"""The container that serves."""

ImageOf = Callable[[Predictor, Sequence[LiveObject]], str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a deployment is to have.

    Attributes:
        manifests: of all that is rendered now.
        keep: objects of predictors of an earlier chart, which stay as they were rendered.
        missing: predictors that cannot be rendered yet: their image is not known.
    """

    manifests: tuple[dict[str, Any], ...]
    keep: frozenset[Key]
    missing: tuple[Predictor, ...]


class DeploymentRenderer:
    """Renders whole deployments of one cluster."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests

    @property
    def origin(self) -> str:
        """A digest of what all manifests are made from, whatever they are of."""
        return self._manifests.origin

    def of(
        self,
        deployment: Deployment,
        namespace: str,
        live: Sequence[LiveObject],
        owner: Owner,
        image_of: ImageOf,
    ) -> Rendered:
        """Render a deployment.

        Args:
            deployment: what to have.
            namespace: where.
            live: what is there of it.
            owner: whose it is; with no uid, no manifest names its owner.
            image_of: what a predictor of these objects runs; "" if that is not known yet.

        Raises:
            RenderError: the chart refuses the values.
        """
        found: list[dict[str, Any]] = []
        keep: set[Key] = set()
        missing = []
        for slot in deployment.slots:
            predictor = slot.predictor
            own = [obj for obj in live if obj.predictor == predictor.name]
            if self._earlier(predictor, own):
                keep |= {obj.key for obj in own}
                continue
            image = image_of(predictor, own)
            if not image:
                missing.append(predictor)
                continue
            found += self._manifests.predictor(deployment, predictor, namespace, image, owner)
        route = self._manifests.route(deployment, namespace, owner)
        found += [route] if route else []
        return Rendered(tuple(found), frozenset(keep), tuple(missing))

    def prints(
        self, deployment: Deployment, namespace: str, live: Sequence[LiveObject], owner: Owner
    ) -> list[object]:
        """A digest of each object, of what is known before anything is built or fetched.

        Left out are the image that is built for a version, its pinned artifact, and the uid of the
        owner: they follow from the version and the server, and change nothing that one decides on.
        """
        bare = replace(
            deployment,
            slots=tuple(
                replace(slot, predictor=replace(slot.predictor, artifact=""))
                for slot in deployment.slots
            ),
        )
        nobody = replace(owner, uid="")
        rendered = self.of(bare, namespace, live, nobody, lambda *_: UNBUILT)
        kept = [
            [slot.predictor.name, slot.predictor.server]
            for slot in deployment.slots
            if any(obj.key in rendered.keep for obj in live if obj.predictor == slot.predictor.name)
        ]
        return [[str(key_of(m)), digest_of(m)] for m in rendered.manifests] + [["kept", kept]]

    def _earlier(self, predictor: Predictor, own: Sequence[LiveObject]) -> bool:
        """Whether it was rendered by an earlier chart and is whole, and so is left as it is."""
        there = {obj.kind for obj in own if not obj.deleting}
        return (
            predictor.server != self._manifests.version
            and there >= runtime_of(predictor.spec).whole
        )


def image_in_use(own: Sequence[LiveObject]) -> str:
    """The image that a predictor's pods are to run, by what we applied that has them; "" if none.

    Our annotation says it, so that a container's image that somebody changed is not taken for it.
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
