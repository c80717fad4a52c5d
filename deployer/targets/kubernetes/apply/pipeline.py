"""Bring a deployment's objects to what is wanted: the whole path of a write.

::

    render -> decide -> filter drift -> execute -> prune

The pipeline recognizes an unchanged deployment by its fingerprints, and renders nothing for it
until an input or an object changes, be it by another Deployer. A preview takes the same first two
steps, so that it shows what an apply would do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployer import hints
from deployer.state.deployment import Deployment
from deployer.state.predictor import Predictor
from deployer.targets.kubernetes.apply.decide import Decision, decide_all
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.execute import Executor
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import PREDICTOR, Key, LiveObject, Owner
from deployer.targets.kubernetes.client.errors import (
    AdmissionRefused,
    AdmissionUnavailable,
    ForeignObject,
    Invalid,
)
from deployer.targets.kubernetes.context import ClusterContext, LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.render.deployment import (
    DeploymentRenderer,
    ImageOf,
    Rendered,
    image_in_use,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The wanted objects of a deployment beside the live ones, before anything is done.

    Attributes:
        rendered: The wanted objects.
        decisions: The action on each of them, in the order to carry out.
        keep: All objects that are wanted; others of the deployment are to go.
    """

    rendered: Rendered
    decisions: list[Decision]
    keep: frozenset[Key]


class Pipeline:
    """The path from a wanted deployment to written objects, in one cluster.

    Args:
        context: The cluster.
        renderer: Renders manifests.
        executor: Writes objects.
        preparation: Prepares images, and remembers which predictors the cluster refuses.
        drift_filter: Decides about drift.
        unchanged: Knows the unchanged deployments.
    """

    def __init__(
        self,
        context: ClusterContext,
        renderer: DeploymentRenderer,
        executor: Executor,
        preparation: ImagePreparation,
        drift_filter: DriftFilter,
        unchanged: Unchanged,
    ) -> None:
        self._context = context
        self._renderer = renderer
        self._executor = executor
        self._preparation = preparation
        self._drift_filter = drift_filter
        self._unchanged = unchanged

    def apply(self, deployment: Deployment, there: LiveDeployment) -> None:
        """Write the differences and delete unwanted objects; do nothing if all is unchanged.

        Args:
            deployment: The wanted deployment.
            there: What the cluster holds of it at the beginning of the pass.

        Raises:
            ForeignObject: An object is foreign.
            ApiError: Any other refusal by the server; the next pass tries again.
        """
        self._restart(deployment, there)
        inputs = self._inputs(deployment, there.owner)
        if not there.record.adopt and self._unchanged.holds(deployment.id, inputs, there.objects):
            return
        try:
            idle = self._run(deployment, there)
        except ForeignObject as error:
            adopt = hints.deploy("apply", there.record, "--adopt")
            raise ForeignObject(
                error.message, f"Delete it, give it another name, or have it taken over: {adopt}"
            ) from error
        if idle:
            self._unchanged.note(deployment.id, inputs, self._context.objects(there))

    def compare(
        self, deployment: Deployment, there: LiveDeployment, image_of: ImageOf
    ) -> Comparison:
        """Render a deployment, and decide the action on each object. Writes nothing.

        Raises:
            RenderError: The chart refuses the values.
        """
        rendered = self._renderer.of(deployment, there, image_of)
        decisions = decide_all(
            rendered.manifests,
            there.objects,
            there.owner,
            adopt=there.record.adopt,
            ignore=self._context.environments[deployment.environment].drift_ignore,
            accepted=self._executor.accepted,
        )
        keep = rendered.keep | {decision.key for decision in decisions}
        return Comparison(rendered, decisions, keep)

    def close(self) -> None:
        """Keep the notes on unchanged deployments."""
        self._unchanged.close()

    def _run(self, deployment: Deployment, there: LiveDeployment) -> bool:
        """Take every step, and return whether there was nothing to do."""
        environment = self._context.environments[deployment.environment]
        compared = self.compare(deployment, there, self._image)
        chosen = self._drift_filter.choose(deployment.id, environment, compared.decisions)
        written = self._execute(deployment, there, chosen)
        pruned = self._executor.prune(there.objects, compared.keep, there.owner)
        missing = compared.rendered.missing
        if there.record.adopt and not missing:  # adopted, or no foreign object remains
            self._context.records.save(replace(there.record, adopt=()))
        idle = not (missing or written or pruned)
        return idle and len(chosen) == len(compared.decisions)

    def _execute(
        self, deployment: Deployment, there: LiveDeployment, chosen: Sequence[Decision]
    ) -> bool:
        """Write; a new predictor that the cluster refuses holds back no other object."""
        owner, adopt = there.owner, there.record.adopt
        running = {obj.predictor for obj in there.objects if obj.has_pods}
        new = {s.predictor.name for s in deployment.predictors if not s.weight} - running
        rest = [decision for decision in chosen if _predictor(decision) not in new]
        written = bool(self._executor.execute(rest, owner, adopt=adopt))
        for name in sorted(new):
            own = [decision for decision in chosen if _predictor(decision) == name]
            self._preparation.accept(name)
            try:
                written |= bool(self._executor.execute(own, owner, adopt=adopt))
            except (AdmissionRefused, AdmissionUnavailable, Invalid) as error:
                self._preparation.refuse(name, error)
                written = True  # it is not as wanted
        return written

    def _restart(self, deployment: Deployment, there: LiveDeployment) -> None:
        """Restart failed predictors: rebuild a failed image, delete the owners of the pods."""
        for weighted in deployment.predictors:
            name = weighted.predictor.name
            if name not in deployment.restart:
                continue
            self._preparation.forget(weighted.predictor)
            for obj in there.of(name):
                if obj.has_pods and not obj.deleting:
                    self._executor.delete(obj)

    def _image(self, predictor: Predictor, own: Sequence[LiveObject]) -> str:
        """Return the image of a predictor: the one in use, or else the prepared one."""
        return image_in_use(own) or self._preparation.ensure(predictor).image

    def _inputs(self, deployment: Deployment, owner: Owner) -> str:
        """Digest all inputs of the writes except the live objects."""
        environment = self._context.environments[deployment.environment]
        weighted = [
            (s.predictor.name, s.weight, s.predictor.artifact, s.predictor.server)
            for s in deployment.predictors
        ]
        drift = (environment.drift, environment.drift_ignore)
        text = json.dumps([weighted, self._renderer.origin, owner.uid, drift])
        return hashlib.sha256(text.encode()).hexdigest()


def _predictor(decision: Decision) -> str:
    """Return the predictor of an object; "" if the object is the deployment's own."""
    return str((decision.manifest["metadata"].get("labels") or {}).get(PREDICTOR, ""))
