"""In: a deployment to have on a cluster. Out: what differs is written, what is not wanted deleted.

A deployment that was found as wanted is known again by a look at its fingerprints: nothing is
rendered for it until something changes, be it by another Deployer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from deployer import hints
from deployer.config.settings import Settings
from deployer.state.deployment import Deployment, Phase, Predictor, Record
from deployer.targets.kubernetes.apply.applier import ObjectApplier
from deployer.targets.kubernetes.apply.decide import Decision
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.objects import PREDICTOR, LiveObject, Owner
from deployer.targets.kubernetes.client.errors import (
    AdmissionRefused,
    AdmissionUnavailable,
    Invalid,
    Taken,
)
from deployer.targets.kubernetes.images.preparation import ImagePreparation, ImagePrepared
from deployer.targets.kubernetes.records.records import ClusterRecords
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer, image_in_use


class DeploymentApplier:
    """Brings deployments of one cluster to what is wanted.

    Args:
        rendering: makes their manifests.
        applier: writes.
        preparation: has images built.
        records: where records and events are kept.
        drifting: decides about drift.
        settings: of the environments.
        steady: knows what was found as wanted.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        rendering: DeploymentRenderer,
        applier: ObjectApplier,
        preparation: ImagePreparation,
        records: ClusterRecords,
        drifting: DriftFilter,
        settings: Settings,
        steady: Unchanged,
        clock: Callable[[], float],
    ) -> None:
        self._rendering = rendering
        self._applier = applier
        self._preparation = preparation
        self._records = records
        self._drifting = drifting
        self._settings = settings
        self._steady = steady
        self._clock = clock
        self._refused: dict[str, ImagePrepared] = {}

    def refused(self, predictor: str) -> ImagePrepared | None:
        """What the cluster said that refuses to have a predictor; None if it does not."""
        return self._refused.get(predictor)

    def forget(self, predictor: str) -> None:
        """It is not to be had any more, or to be tried again."""
        self._refused.pop(predictor, None)

    def bring(
        self,
        deployment: Deployment,
        record: Record,
        owner: Owner,
        live: Sequence[LiveObject],
        look: Callable[[], Sequence[LiveObject]],
    ) -> None:
        """Write what differs, delete what is not wanted; nothing if all is as it was left.

        Args:
            deployment: what to have.
            record: what is remembered, with what a person lets us take over.
            owner: whose objects they are.
            live: what was there of it at the beginning of the pass.
            look: what is there of it now.

        Raises:
            Taken: an object is somebody else's.
            ApiError: anything else that the server says; the next pass tries again.
        """
        inputs = self._inputs(deployment, owner)
        if not record.adopt and self._steady.holds(deployment.id, inputs, live):
            return
        try:
            whole = self._write(deployment, record, owner, live)
        except Taken as error:
            adopt = hints.deploy("apply", record, "--adopt")
            raise Taken(
                error.message, f"Delete it, give it another name, or have it taken over: {adopt}"
            ) from error
        if whole:
            self._steady.note(deployment.id, inputs, look())

    def _write(
        self, deployment: Deployment, record: Record, owner: Owner, live: Sequence[LiveObject]
    ) -> bool:
        """True if there was nothing to do."""
        namespace = self._records.namespace(record)
        rendered = self._rendering.of(deployment, namespace, live, owner, self._image)
        environment = self._settings.environments[deployment.environment]
        decisions = self._applier.decide(
            rendered.manifests, live, owner, adopt=record.adopt, ignore=environment.drift_ignore
        )
        chosen = self._drifting.choose(deployment.id, environment, decisions)
        written = self._carry_out(deployment, chosen, record, owner, live)
        keep = rendered.keep | {decision.key for decision in decisions}
        pruned = self._applier.prune(live, keep, owner)
        if record.adopt and not rendered.missing:  # used, or nothing stands in the way any more
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
        """Write; a new predictor that the cluster refuses keeps back nothing but itself."""
        running = {obj.predictor for obj in live if obj.has_pods}
        new = {s.predictor.name for s in deployment.slots if not s.weight} - running
        rest = [decision for decision in chosen if _predictor(decision) not in new]
        written = bool(self._applier.carry_out(rest, owner, adopt=record.adopt))
        for name in sorted(new):
            own = [decision for decision in chosen if _predictor(decision) == name]
            self.forget(name)
            try:
                written |= bool(self._applier.carry_out(own, owner, adopt=record.adopt))
            except (AdmissionRefused, AdmissionUnavailable, Invalid) as error:
                self._refused[name] = ImagePrepared(Phase.FAILED, self._clock(), error=error)
                written = True  # it is not as wanted
        return written

    def _image(self, predictor: Predictor, own: Sequence[LiveObject]) -> str:
        """What a predictor's pods run; once they do, that is not asked again."""
        return image_in_use(own) or self._preparation.ensure(predictor).image

    def _inputs(self, deployment: Deployment, owner: Owner) -> str:
        """A digest of all that decides what is written, but for the objects that are there."""
        environment = self._settings.environments[deployment.environment]
        slots = [
            (s.predictor.name, s.weight, s.predictor.artifact, s.predictor.server)
            for s in deployment.slots
        ]
        drift = (environment.drift, environment.drift_ignore)
        text = json.dumps([slots, self._rendering.origin, owner.uid, drift])
        return hashlib.sha256(text.encode()).hexdigest()


def _predictor(decision: Decision) -> str:
    """Whose object it is; "" if it is the deployment's own."""
    return str((decision.manifest["metadata"].get("labels") or {}).get(PREDICTOR, ""))
