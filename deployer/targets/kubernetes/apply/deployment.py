"""Apply a deployment to a cluster: write the differences, delete unwanted objects.

The applier recognizes an unchanged deployment by its fingerprints, and renders nothing for it until
an input or an object changes, be it by another Deployer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from deployer import hints
from deployer.config.settings import Settings
from deployer.state.deployment import Deployment
from deployer.state.predictor import Phase, Predictor
from deployer.state.record import Record
from deployer.targets.kubernetes.apply.applier import ObjectApplier
from deployer.targets.kubernetes.apply.decide import Decision
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import PREDICTOR, LiveObject, Owner
from deployer.targets.kubernetes.client.errors import (
    AdmissionRefused,
    AdmissionUnavailable,
    ForeignObject,
    Invalid,
)
from deployer.targets.kubernetes.images.preparation import ImagePreparation, ImagePrepared
from deployer.targets.kubernetes.records.records import ClusterRecords
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer, image_in_use


class DeploymentApplier:
    """An applier of deployments to one cluster.

    Args:
        renderer: Renders their manifests.
        applier: Writes objects.
        preparation: Prepares images.
        records: Keeps records and events.
        drift_filter: Decides about drift.
        settings: The settings of the environments.
        unchanged: Knows the unchanged deployments.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        renderer: DeploymentRenderer,
        applier: ObjectApplier,
        preparation: ImagePreparation,
        records: ClusterRecords,
        drift_filter: DriftFilter,
        settings: Settings,
        unchanged: Unchanged,
        clock: Callable[[], float],
    ) -> None:
        self._renderer = renderer
        self._applier = applier
        self._preparation = preparation
        self._records = records
        self._drift_filter = drift_filter
        self._settings = settings
        self._unchanged = unchanged
        self._clock = clock
        self._refused: dict[str, ImagePrepared] = {}

    def refused(self, predictor: str) -> ImagePrepared | None:
        """Return the cluster's refusal of a predictor; None if it accepts the predictor."""
        return self._refused.get(predictor)

    def forget(self, predictor: str) -> None:
        """Drop the refusal of a predictor that is retired, or is to be tried again."""
        self._refused.pop(predictor, None)

    def apply(
        self,
        deployment: Deployment,
        record: Record,
        owner: Owner,
        live: Sequence[LiveObject],
        look: Callable[[], Sequence[LiveObject]],
    ) -> None:
        """Write the differences and delete unwanted objects; do nothing if all is unchanged.

        Args:
            deployment: The wanted deployment.
            record: Its record, with the objects that an operator lets the Deployer adopt.
            owner: The owner of its objects.
            live: Its live objects at the beginning of the pass.
            look: Returns its live objects now.

        Raises:
            ForeignObject: An object is foreign.
            ApiError: Any other refusal by the server; the next pass tries again.
        """
        inputs = self._inputs(deployment, owner)
        if not record.adopt and self._unchanged.holds(deployment.id, inputs, live):
            return
        try:
            whole = self._write(deployment, record, owner, live)
        except ForeignObject as error:
            adopt = hints.deploy("apply", record, "--adopt")
            raise ForeignObject(
                error.message, f"Delete it, give it another name, or adopt it: {adopt}"
            ) from error
        if whole:
            self._unchanged.note(deployment.id, inputs, look())

    def _write(
        self, deployment: Deployment, record: Record, owner: Owner, live: Sequence[LiveObject]
    ) -> bool:
        """Write and prune; return whether there was nothing to do."""
        namespace = self._records.namespace(record)
        rendered = self._renderer.of(deployment, namespace, live, owner, self._image)
        environment = self._settings.environments[deployment.environment]
        decisions = self._applier.decide(
            rendered.manifests, live, owner, adopt=record.adopt, ignore=environment.drift_ignore
        )
        chosen = self._drift_filter.choose(deployment.id, environment, decisions)
        written = self._carry_out(deployment, chosen, record, owner, live)
        keep = rendered.keep | {decision.key for decision in decisions}
        pruned = self._applier.prune(live, keep, owner)
        if record.adopt and not rendered.missing:  # adopted, or no foreign object remains
            self._records.save(replace(record, adopt=()))
        idle = not (rendered.missing or written or pruned)
        return idle and len(chosen) == len(decisions)

    def _carry_out(
        self,
        deployment: Deployment,
        chosen: Sequence[Decision],
        record: Record,
        owner: Owner,
        live: Sequence[LiveObject],
    ) -> bool:
        """Write; a new predictor that the cluster refuses holds back no other object."""
        running = {obj.predictor for obj in live if obj.has_pods}
        new = {s.predictor.name for s in deployment.predictors if not s.weight} - running
        rest = [decision for decision in chosen if _predictor(decision) not in new]
        written = bool(self._applier.execute(rest, owner, adopt=record.adopt))
        for name in sorted(new):
            own = [decision for decision in chosen if _predictor(decision) == name]
            self.forget(name)
            try:
                written |= bool(self._applier.execute(own, owner, adopt=record.adopt))
            except (AdmissionRefused, AdmissionUnavailable, Invalid) as error:
                self._refused[name] = ImagePrepared(Phase.FAILED, self._clock(), error=error)
                written = True  # it is not as wanted
        return written

    def _image(self, predictor: Predictor, own: Sequence[LiveObject]) -> str:
        """Return the image of a predictor: the one in use, or else the prepared one."""
        return image_in_use(own) or self._preparation.ensure(predictor).image

    def _inputs(self, deployment: Deployment, owner: Owner) -> str:
        """Digest all inputs of the writes except the live objects."""
        environment = self._settings.environments[deployment.environment]
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
