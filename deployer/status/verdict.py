"""Judge a deployment: its state, its reason, a sentence and the next step.

Every state and reason has an entry in docs/reference/states.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployer import hints
from deployer.errors import (
    DeletedByHand,
    GatewayUnavailable,
    SchnitzelError,
    SpecInvalid,
    is_transient,
    reason_of,
)
from deployer.plan.plan import Plan
from deployer.rollout.gate import is_judged
from deployer.state.deployment import Wanted
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase
from deployer.state.reasons import OF_A_BROKER, Reason, State, Sync
from deployer.state.record import Failure, Record

__all__ = [
    "FAILING",
    "State",
    "Status",
    "Sync",
    "Verdict",
    "failed_status",
    "judge",
    "keep_changed_at",
    "sync",
]

FAILING = (State.DEGRADED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a deployment, with a reason, a sentence and a next step for the operator."""

    state: State
    reason: str
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The published status of one deployment, as last observed."""

    verdict: Verdict
    sync: Sync
    record: Record
    wanted: Wanted
    observed: Observed
    url: str
    target: str
    changed_at: float
    settled: bool
    plan: Plan
    retry_at: float | None = None
    """When a pass that broke for a transient error is retried."""

    @property
    def invalid(self) -> bool:
        """Whether the serving spec of the promoted version cannot be used."""
        problem = self.wanted.problem
        return problem is not None and problem.reason == SpecInvalid.reason


def judge(
    record: Record,
    wanted: Wanted,
    observed: Observed,
    waiting: str,
    refused: SchnitzelError | None = None,
    queue: Reason | None = None,
) -> Verdict:
    """Judge a deployment.

    Args:
        record: The deployment's record after this pass.
        wanted: The version and spec that the registry asks for.
        observed: The observation at the start of this pass.
        waiting: The event that the rollout waits for, as a clause.
        refused: The error that refused the plan, if the plan was not applied.
        queue: What there is to know of the deployment's queue, if anything.
    """
    serving = record.champion
    seen = observed.predictors.get(serving.name) if serving else None
    failure = wanted.problem or (
        record.failures.get(wanted.champion.digest) if wanted.champion else None
    )
    if refused:
        state = State.NOTHING_PROMOTED if not wanted.version else State.DEGRADED
        return Verdict(state, reason_of(refused), refused.message, refused.hint)
    if record.pause:
        return _paused(record)
    if wanted.version is None and not wanted.champion:
        return _nothing_promoted(record)
    if wanted.champion and serving and serving.digest == wanted.champion.digest:
        return _serving(record, observed, seen, queue)
    if record.candidate:
        return _progressing(record, observed, waiting)
    if failure:
        return _failed(record, wanted, failure, seen)
    if waiting:
        return Verdict(State.PROGRESSING, Reason.QUEUED, f"It waits: {waiting}.")
    message = f"Version {_number(wanted)} is being read from the registry."
    return Verdict(State.PROGRESSING, Reason.READING, message)


def sync(record: Record, wanted: Wanted, *, frozen: bool) -> Sync:
    """Return whether the champion is the wanted predictor, or why it may not be changed."""
    if frozen:
        return Sync.FROZEN
    if record.pause:
        return Sync.PAUSED
    digest = wanted.champion.digest if wanted.champion else None
    serving = record.champion.digest if record.champion else None
    return Sync.IN_SYNC if digest == serving and not record.candidate else Sync.OUT_OF_SYNC


def keep_changed_at(status: Status, before: Status | None) -> Status:
    """Keep the time of the last change if the verdict is the same."""
    if before and before.verdict == status.verdict:
        return replace(status, changed_at=before.changed_at)
    return status


def failed_status(status: Status, error: SchnitzelError, now: float) -> Status:
    """Build the status of a deployment whose pass failed.

    Args:
        status: The status that this pass found, if it came so far, else the last known status.
        error: The error that broke the pass. A transient error leaves the status unsettled.
        now: Seconds since the epoch.
    """
    state = State.RETIRED if isinstance(error, DeletedByHand) else State.FAILED
    verdict = Verdict(state, reason_of(error), error.message, error.hint)
    return replace(status, verdict=verdict, settled=not is_transient(error), changed_at=now)


def _number(wanted: Wanted) -> str:
    return str(wanted.version.number) if wanted.version else "?"


def _served(record: Record, seen: ObservedPredictor | None, number: str) -> str:
    """Name the version that serves meanwhile, as the end of a sentence about version `number`."""
    if record.champion is None:
        return "nothing serves meanwhile"
    name = f"version {record.champion.version.number}"
    if str(record.champion.version.number) == number:  # with another spec, or on another server
        name = f"the {name} from before"
    if seen and seen.phase is Phase.READY:
        return f"{name} keeps serving"
    return f"{name} is not ready either"


def _nothing_promoted(record: Record) -> Verdict:
    promote = hints.promote(record)
    if record.champion is None:
        message = f"Nothing is promoted to {record.environment}, and nothing is served."
        return Verdict(State.RETIRED, Reason.NOTHING_PROMOTED, message, promote)
    message = (
        f"Nothing is promoted to {record.environment}; version {record.champion.version.number} "
        "keeps serving until this has lasted for the grace time."
    )
    return Verdict(State.NOTHING_PROMOTED, Reason.GRACE_PERIOD, message, promote)


def _serving(
    record: Record, observed: Observed, seen: ObservedPredictor | None, queue: Reason | None
) -> Verdict:
    assert record.champion is not None  # noqa: S101 - the caller compared it
    number = record.champion.version.number
    logs = hints.deploy("logs", record)
    if seen is None or seen.phase in (Phase.ABSENT, Phase.FETCHING, Phase.BUILDING, Phase.STARTING):
        message = f"Version {number} is being started again."
        if seen and seen.reason:
            return Verdict(
                State.PROGRESSING, seen.reason, f"{message} {seen.message}", seen.hint or logs
            )
        return Verdict(State.PROGRESSING, Reason.RESTARTING, message, logs)
    if seen.phase in (Phase.FAILED, Phase.UNREADY):
        return _not_ready(record, seen, number)
    if observed.gateway_error:
        message = f"Version {number} is ready, but the gateway is not: {observed.gateway_error}"
        return Verdict(State.FAILED, GatewayUnavailable.reason, message, observed.gateway_hint)
    if seen.live_weight == 0:
        message = f"Version {number} is ready; the gateway does not send it requests yet."
        return Verdict(State.PROGRESSING, Reason.SHIFTING_TRAFFIC, message)
    if seen.replicas == 0:
        message = f"Version {number} answers the next message; no replica runs while none waits."
        return Verdict(State.SERVING, Reason.READY, message)
    return _answering(record, observed, seen, queue)


def _answering(
    record: Record, observed: Observed, seen: ObservedPredictor, queue: Reason | None
) -> Verdict:
    notes = [record.note, seen.message if seen.reason else "", *observed.drift]
    number = seen.predictor.version.number
    message = " ".join([f"Version {number} serves all requests.", *(n for n in notes if n)])
    if seen.reason and seen.reason != Reason.FEWER_REPLICAS:
        logs = hints.deploy("logs", record)
        return Verdict(State.DEGRADED, seen.reason, message, seen.hint or logs)
    if queue:
        # Without numbers, which would make another status each time.
        said, verb = _OF_A_QUEUE[queue]
        return Verdict(State.SERVING, queue, f"{message} {said}", hints.queue(verb, record))
    return Verdict(State.SERVING, Reason.READY, message)


_OF_A_QUEUE = {
    Reason.BACKLOG: ("More messages wait than it answers in a minute.", "show"),
    Reason.DEAD_LETTERING: ("Some of its messages became dead letters of late.", "dead"),
}


def _not_ready(record: Record, seen: ObservedPredictor, number: int) -> Verdict:
    if seen.phase is not Phase.UNREADY or seen.reason not in OF_A_BROKER:
        # A predictor answers while some of its replicas do.
        state = State.DEGRADED if seen.replicas_ready else State.FAILED
        message = seen.message or f"Version {number} does not report that it is ready."
        hint = seen.hint or hints.deploy("logs", record)
        return Verdict(state, seen.reason or Reason.NOT_READY, message, hint)
    lacks = seen.reason in (Reason.QUEUE_MISSING, Reason.RESULT_REFUSED)
    message = (
        f"Version {number} answers requests, and no messages, which stay in their queue: "
        f"{seen.message}."
    )
    return Verdict(
        State.DEGRADED, seen.reason, message, hints.queue("create" if lacks else "show", record)
    )


_PHASE_REASONS = {
    Phase.ABSENT: Reason.STARTING,
    Phase.FETCHING: Reason.FETCHING,
    Phase.BUILDING: Reason.BUILDING_ENVIRONMENT,
    Phase.STARTING: Reason.STARTING,
    Phase.UNREADY: Reason.STARTING,
}


def _progressing(record: Record, observed: Observed, waiting: str) -> Verdict:
    candidate = record.candidate
    assert candidate is not None  # noqa: S101 - the caller checked
    seen = observed.predictors.get(candidate.predictor.name)
    serving = observed.predictors.get(record.champion.name) if record.champion else None
    number = candidate.predictor.version.number
    phase = seen.phase if seen else Phase.ABSENT
    ready = Reason.SHIFTING_TRAFFIC if candidate.step >= 0 else Reason.VERIFYING
    if candidate.step_since is not None and is_judged(candidate.predictor):
        ready = Reason.ANALYSING
        if observed.verdict and observed.verdict.reason:
            ready = Reason(observed.verdict.reason)
    reason = (seen and seen.reason) or _PHASE_REASONS.get(phase, ready)
    clause = f"; it waits for {waiting}" if waiting else ""
    message = (
        f"Version {number} is being rolled out{clause}; {_served(record, serving, str(number))}."
    )
    if seen and seen.message and phase is not Phase.READY:
        message += f" {seen.message[0].upper()}{seen.message[1:]}"
        message += "" if message.endswith(".") else "."
    return Verdict(State.PROGRESSING, reason, message, seen.hint if seen else "")


def _failed(
    record: Record, wanted: Wanted, failure: Failure, seen: ObservedPredictor | None
) -> Verdict:
    ready = seen is not None and seen.phase is Phase.READY
    state = State.DEGRADED if ready else State.FAILED
    text = failure.message.rstrip(".")
    number = _number(wanted)
    ended = failure.reason in (Reason.ROLLED_BACK, Reason.ABORTED)
    problem = text if ended else f"Version {number} cannot be served: {text}"
    message = f"{problem}; {_served(record, seen, number)}."
    retry = hints.deploy("apply", record, "--retry")
    logs = f"Its log: {hints.deploy('logs', record)}"
    again = "It is retried automatically, with growing pauses; at once"
    if failure.retry_at is None:
        again = "Fix it and register a new version, or try again"
    hint = failure.hint or f"{logs}. {again}: {retry}"
    return Verdict(state, failure.reason, message, hint)


def _paused(record: Record) -> Verdict:
    assert record.pause is not None  # noqa: S101 - the caller checked
    because = f" ({record.pause.reason})" if record.pause.reason else ""
    message = f"Paused by {record.pause.by}{because}; nothing is changed."
    hint = hints.deploy("resume", record)
    state = State.SERVING if record.champion else State.PROGRESSING
    return Verdict(state, Reason.PAUSED, message, hint)
