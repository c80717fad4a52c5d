"""Preview the objects that a plan would change, field by field.

A preview writes and begins nothing: it names what is not known yet, such as an image that is not
built. Each change is a dry run at the server, so that the preview shows what the server would
refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from deployer.config.environment import Environment
from deployer.plan.diff import FieldChange
from deployer.plan.preview import Act, ObjectChange, Preview, digest_of
from deployer.plan.redact import masked
from deployer.state.deployment import Deployment
from deployer.state.predictor import Predictor
from deployer.targets.kubernetes.apply import decide
from deployer.targets.kubernetes.apply.decide import Cause, Decision
from deployer.targets.kubernetes.apply.execute import Executor
from deployer.targets.kubernetes.apply.pipeline import Pipeline
from deployer.targets.kubernetes.cache.objects import Key, LiveObject, Owner
from deployer.targets.kubernetes.client.errors import ApiError, Conflict, Unavailable
from deployer.targets.kubernetes.context import ClusterContext, LiveDeployment
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.render.deployment import UNBUILT, DeploymentRenderer, image_in_use

_WHY = {
    Cause.DRIFT: "it has drifted; the drift is corrected",
    Cause.ADOPTED: "it is foreign; an operator adopts it",
}


class Previewer:
    """A previewer of deployments of one cluster.

    Args:
        context: The cluster.
        pipeline: Renders and decides, as for an apply.
        renderer: Digests the manifests.
        executor: Does dry runs at the server.
        preparation: Knows which images are built.
    """

    def __init__(
        self,
        context: ClusterContext,
        pipeline: Pipeline,
        renderer: DeploymentRenderer,
        executor: Executor,
        preparation: ImagePreparation,
    ) -> None:
        self._context = context
        self._pipeline = pipeline
        self._renderer = renderer
        self._executor = executor
        self._preparation = preparation

    def preview(self, deployment: Deployment, there: LiveDeployment) -> Preview:
        """List the changes that an apply would make.

        Args:
            deployment: The deployment that the plan leads to.
            there: What the cluster holds of it.

        Raises:
            Unavailable, Conflict: The preview cannot be computed now: ask again.
            RenderError: The chart refuses the values.
        """
        unknown: list[str] = []

        def image(predictor: Predictor, own: Sequence[LiveObject]) -> str:
            known = image_in_use(own) or self._image(predictor)
            if not own:
                unknown.extend(_unknown(predictor, built=bool(known)))
            return known or UNBUILT

        environment = self._context.environments[deployment.environment]
        owner, adopt = there.owner, there.record.adopt
        compared = self._pipeline.compare(deployment, there, image)
        decisions = [
            self._executor.recheck(decision, owner, adopt=adopt) for decision in compared.decisions
        ]
        found = [self._shown(decision, owner, environment) for decision in decisions]
        gone = [
            ObjectChange(Act.DELETE, *_place(obj.key), "nothing needs it any more")
            for obj in decide.to_prune(there.objects, compared.keep, owner)
        ]
        marks = [_mark(decision) for decision in decisions if _counts(decision, environment)]
        prints = self._renderer.prints(deployment, there)
        return Preview(
            tuple(filter(None, found)) + tuple(gone),
            tuple(unknown),
            digest_of([there.namespace, prints, marks]),
        )

    def _image(self, predictor: Predictor) -> str:
        seen = self._preparation.peek(predictor.name)
        return predictor.spec.image or (seen.image if seen else "")

    def _shown(
        self, decision: Decision, owner: Owner, environment: Environment
    ) -> ObjectChange | None:
        """Build the change of one object; None if no visible field changes."""
        if decision.act is decide.Action.UNCHANGED:
            return None
        place = _place(decision.key)
        act, why = Act(decision.act), decision.problem or _WHY.get(decision.cause, "")
        if decision.act in (decide.Action.REFUSED, decide.Action.WAIT):
            return ObjectChange(act, *place, why, _masked(decision))
        if decision.cause is Cause.DRIFT and environment.drift != "correct":
            if environment.drift == "ignore":
                return None
            why = "it has drifted; the drift is left (drift: report)"
            return ObjectChange(Act.LEFT, *place, why, _masked(decision))
        uid = ""
        if decision.act is decide.Action.CONFLICT and decision.live:
            uid = decision.live.uid
            decision = decide.decide(decision.manifest, decision.live, owner, adopt=(uid,))
        try:
            fields = self._executor.dry_run(decision)
        except (Unavailable, Conflict):
            raise
        except ApiError as error:
            return ObjectChange(
                Act.CONFLICT if uid else Act.REFUSED, *place, error.message, uid=uid
            )
        if not fields and act is Act.UPDATE:
            return None
        return ObjectChange(act, *place, why, fields, uid)


def _place(key: Key) -> tuple[str, str, str]:
    return key.kind, key.name, key.namespace


def _masked(decision: Decision) -> tuple[FieldChange, ...]:
    return tuple(masked(change, decision.key.kind) for change in decision.changes)


def _unknown(predictor: Predictor, *, built: bool) -> list[str]:
    version = f"version {predictor.version.number}"
    notes = (
        [] if built else [f"The image of {version} is not built yet; it is no part of the digest."]
    )
    if not predictor.artifact:
        notes.append(
            f"The files of {version} are pinned when they are first fetched; their digest is no "
            "part of the plan's."
        )
    return notes


def _counts(decision: Decision, environment: Environment) -> bool:
    """Decide whether the live object, besides the rendered one, matters to the plan's digest."""
    drifted = decision.cause is Cause.DRIFT and environment.drift != "ignore"
    return drifted or decision.act in (decide.Action.CONFLICT, decide.Action.REFUSED)


def _mark(decision: Decision) -> list[object]:
    if decision.act is decide.Action.CONFLICT and decision.live:
        return [str(decision.key), decision.live.uid]
    return [str(decision.key), [[change.path, repr(change.was)] for change in decision.changes]]
