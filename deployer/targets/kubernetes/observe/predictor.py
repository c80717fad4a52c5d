"""Judge a predictor from its Deployment, pods and events, as plain API objects.

A new predictor is ready when its Deployment has all wanted replicas, so that a rollout does not
shift traffic to half of them. A predictor that was complete before, or takes traffic, is ready as
long as one replica is: the predictor answers, and the observation reports the problem of the other
replicas. The module remembers no completeness, but reads it: the Deployment's Progressing condition
stays at NewReplicaSetAvailable until its pod template changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployer import hints
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import UNASKED, ExampleAnswer, Phase, Predictor
from deployer.state.reasons import Reason
from deployer.targets.kubernetes.diagnosis import Problem, is_terminating, problems
from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    condition,
    created,
    events_of,
    fetching,
    name,
    namespace,
    parse_time,
    serving,
    status_of,
    termination_message,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason
from deployer.targets.kubernetes.images.preparation import ImagePrepared
from deployer.targets.kubernetes.observe import seldon

ENVIRONMENT = "schnitzel.dev/environment"


@dataclass(frozen=True, slots=True)
class Seen:
    """The API objects of one predictor.

    Attributes:
        deployment: Its Deployment; None if there is none.
        resource: Its SeldonDeployment, of which the operator makes its Deployment; None without.
        services: The Services that may lead to its pods; used where there is a SeldonDeployment.
        pods: All its pods, also those that are leaving.
        events: Recent events of the pods.
        prepared: The progress of its image; None before the preparation.
        log: The last lines of the container that `crashes.log_wanted` named.
        answer: The JSON body of /v2/health/ready of a server that is not ready; None if unasked.
    """

    deployment: Object | None
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()
    prepared: ImagePrepared | None = None
    log: str = ""
    answer: Object | None = None
    resource: Object | None = None
    services: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class _Counts:
    """A Deployment's replicas: how many are wanted and ready, and the state of its rollout."""

    wanted: int
    ready: int
    current: bool
    """Whether all running pods are of the newest template, as the Deployment controller saw it."""
    complete: bool
    """Whether all wanted replicas were ready once since the last change of the template."""
    late: bool
    """Whether the newest template's pods took longer to be ready than the Deployment allows."""


def observe(
    predictor: Predictor,
    seen: Seen,
    now: float,
    *,
    weight: int = 0,
    example: ExampleAnswer = UNASKED,
) -> ObservedPredictor:
    """Judge the phase of a predictor.

    Args:
        predictor: The predictor.
        seen: Its API objects.
        now: Seconds since the epoch.
        weight: The percent of the traffic that the gateway sends to the predictor.
        example: The predictor's answer to the model's own example.
    """
    counts = _count(seen.deployment or {})
    phase, since, problem = _judge(predictor, seen, counts, now, weight)
    unreachable = problem is not None and problem.reason == PodReason.SELDON_UNREACHABLE
    return ObservedPredictor(
        predictor=predictor,
        phase=phase,
        since=since,
        reason=problem.reason if problem else "",
        message=problem.message if problem else "",
        hint=problem.hint if problem else "",
        transient=example.transient or bool(problem and problem.transient),
        live_weight=weight,
        example=example.state,
        example_message=example.message,
        example_hint=example.hint,
        artifact_digest=artifact_digest(seen.pods),
        python=seen.prepared.note if seen.prepared else "",
        replicas=counts.wanted,
        replicas_ready=0 if unreachable else min(counts.ready, counts.wanted),
    )


def artifact_digest(pods: Sequence[Object]) -> str:
    """Read the artifact's digest from the init container's termination message; "" before it."""
    for pod in pods:
        status = status_of(pod, fetching(pod))
        for ended in (status.get("state", {}), status.get("lastState", {})):
            done = ended.get("terminated") or {}
            if done and done.get("exitCode") == 0:
                digest = termination_message(done).get("digest")
                if digest:
                    return str(digest)
    return ""


def _judge(
    predictor: Predictor, seen: Seen, counts: _Counts, now: float, weight: int
) -> tuple[Phase, float, Problem | None]:
    deployment = seen.deployment
    if seen.resource is not None:
        made = [deployment] if deployment else []
        operator_problem = seldon.operator_problem(seen.resource, made, seen.services, now, weight)
        if operator_problem:
            return operator_problem
    if deployment is None:
        return _before(seen.prepared, now)
    served = counts.complete or weight > 0
    model = predictor.version.model
    environment = deployment.get("metadata", {}).get("annotations", {}).get(ENVIRONMENT, "")
    show = hints.command("deploy logs", model, *(("-e", environment) if environment else ()))
    found = problems(
        deployment,
        seen.pods,
        seen.events,
        now,
        served=served,
        log=seen.log,
        answer=seen.answer,
        show=show,
    )
    worst = found[0] if found else None
    enough = counts.ready >= 1 if served else counts.current and counts.ready >= counts.wanted
    if counts.wanted == 0 and predictor.spec.is_scaled_by_messages:
        return Phase.READY, created(deployment) or now, None
    if counts.wanted == 0:
        asleep = "Another writer scaled it to zero replicas."
        scale = f"kubectl -n {namespace(deployment)} scale deployment {name(deployment)}"
        hint = f"{scale} --replicas=1"
        return Phase.UNREADY, now, Problem(PodReason.SCALED_TO_ZERO, asleep, hint)
    if enough:
        available = condition(deployment, "Available")
        since = parse_time(available.get("lastTransitionTime")) or created(deployment) or now
        return Phase.READY, since, _partly(counts, worst)
    if worst and worst.final:
        return Phase.FAILED, worst.since or now, worst
    progress, since = _progress(deployment, seen, now)
    if worst is None:
        return progress, since, None
    return Phase.UNREADY if served else Phase.STARTING, worst.since or since, worst


def _before(prepared: ImagePrepared | None, now: float) -> tuple[Phase, float, Problem | None]:
    """Judge a predictor that has no Deployment yet."""
    if prepared is None or prepared.phase is Phase.READY:
        return Phase.ABSENT, now, None
    error = prepared.error
    if error:
        problem = Problem(error.reason, error.message, error.hint, transient=error.transient)
        return Phase.FAILED, prepared.since, problem
    note = Problem("", prepared.message, transient=False) if prepared.message else None
    return prepared.phase, prepared.since, note


def _count(deployment: Object) -> _Counts:
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    replicas = spec.get("replicas")
    wanted = 1 if replicas is None else int(replicas)
    generation = deployment.get("metadata", {}).get("generation", 0)
    fresh = int(status.get("observedGeneration") or 0) >= int(generation or 0)
    running, updated = int(status.get("replicas") or 0), int(status.get("updatedReplicas") or 0)
    progressing = condition(deployment, "Progressing")
    return _Counts(
        wanted=wanted,
        ready=int(status.get("readyReplicas") or 0),
        current=fresh and running == updated,
        complete=fresh and progressing.get("reason") == "NewReplicaSetAvailable",
        late=fresh and progressing.get("reason") == "ProgressDeadlineExceeded",
    )


def _partly(counts: _Counts, worst: Problem | None) -> Problem | None:
    """Describe a ready predictor that has other or fewer replicas than wanted."""
    if counts.ready >= counts.wanted:
        return None if counts.current else _behind(counts, worst)
    text = f"{counts.ready} of {counts.wanted} replicas are ready"
    if worst is None:
        return Problem(Reason.FEWER_REPLICAS, f"{text}; the others are on their way.")
    return Problem(worst.reason, f"{text}. {worst.message}", worst.hint, transient=worst.transient)


def _behind(counts: _Counts, worst: Problem | None) -> Problem | None:
    """Describe a predictor whose older pods answer while the pods of a change do not come up."""
    text = "It was changed, and its pods from before answer, since the new ones do not get ready"
    if worst:
        return Problem(
            worst.reason, f"{text}: {worst.message}", worst.hint, transient=worst.transient
        )
    return Problem(Reason.NOT_READY_IN_TIME, f"{text} in time.") if counts.late else None


def _progress(deployment: Object, seen: Seen, now: float) -> tuple[Phase, float]:
    """Return the phase of the healthy pod that is furthest behind."""
    begun = created(deployment) or now
    steps = [_step(pod, seen.events, begun) for pod in seen.pods if not is_terminating(pod)]
    order = (Phase.FETCHING, Phase.STARTING)
    return min(steps, key=lambda step: order.index(step[0]), default=(Phase.STARTING, begun))


def _step(pod: Object, events: Sequence[Object], begun: float) -> tuple[Phase, float]:
    since = created(pod) or begun
    fetched = status_of(pod, fetching(pod)).get("state", {})
    running = status_of(pod, serving(pod)).get("state", {}).get("running")
    if running:
        return Phase.STARTING, parse_time(running.get("startedAt")) or since
    if "running" in fetched or events_of(events, pod, "Pulling"):
        return Phase.FETCHING, since
    done = fetched.get("terminated") or {}
    return Phase.STARTING, parse_time(done.get("finishedAt")) or since
