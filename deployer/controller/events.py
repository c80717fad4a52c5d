"""Record the events of a pass in the history, and write them to tags of the versions."""

from __future__ import annotations

from deployer.desired import promotions
from deployer.registry.tags import TagWriter, VersionTags
from deployer.rollout.advance import Step
from deployer.rollout.transition import Kind, Transition
from deployer.state.deployment import Wanted
from deployer.state.evidence import Verdict
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason, State, TagReason
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.status.verdict import Status
from deployer.store.history import DEPLOYER, UNKNOWN, Event, History


def record_intent(
    history: History, step: Step, wanted: Wanted, verdict: Verdict | None, now: float
) -> None:
    """Append the transitions of a step to the history, before the step is applied.

    Args:
        history: The history of all deployments.
        step: The step of the pass.
        wanted: The version and spec that the registry asks for.
        verdict: The verdict on the candidate; None where it is not judged.
        now: Seconds since the epoch.
    """
    for made in step.transitions:
        why, who = _reason(made, step.record, wanted)
        shown = verdict and made.after and verdict.subject == made.after.digest
        if verdict and shown and made.kind in (Kind.STEP, Kind.SHIFT):
            why = f"{why}; {verdict.message}"
        before, after = _number(made.before), _number(made.after)
        history.append(Event(step.record.id, "intent", made.kind, before, after, why, who), now)


def _reason(made: Transition, record: Record, wanted: Wanted) -> tuple[str, str]:
    """Say why a transition is made, and name who asked for it."""
    match made.kind:
        case Kind.ADOPT:
            return "it serves, and the record of the deployment was lost", DEPLOYER
        case Kind.ROLLOUT:
            return _reason_of_rollout(made, record, wanted)
        case Kind.STEP:
            return f"{made.share} % of the requests go to it", DEPLOYER
        case Kind.SHIFT:
            return "it is ready and answered the model's own example", DEPLOYER
        case Kind.FALL_BACK:
            return made.why, DEPLOYER
        case Kind.RETIRE:
            return "nothing is promoted, and that has lasted", DEPLOYER


def _reason_of_rollout(made: Transition, record: Record, wanted: Wanted) -> tuple[str, str]:
    before, after = made.before, made.after
    if before is None or after is None or before.version != after.version:
        return f"{wanted.via} names version {_number(after)}", _promoter(record)
    if before.server != after.server:
        return "the platform has another version of chart or server image", DEPLOYER
    return "the serving spec of the version that serves has changed", DEPLOYER


def record_outcome(
    history: History,
    writer: TagWriter,
    before: Record,
    status: Status,
    last: Status | None,
    now: float,
) -> None:
    """Append the outcomes of a pass to the history, and write them to tags of the versions.

    Args:
        history: The history of all deployments.
        writer: Writes tags.
        before: The record before the pass.
        status: The status to publish.
        last: The status published last; None in the first pass since the start.
        now: Seconds since the epoch.
    """
    record = status.record
    for digest, failure in record.failures.items():
        earlier = before.failures.get(digest)
        if earlier is None or earlier.attempts != failure.attempts:
            known = (*before.every_predictor, *record.every_predictor)
            version = next((_number(each) for each in known if each.digest == digest), None)
            event = Event(
                record.id, "outcome", "failed", None, version, failure.message, DEPLOYER,
                failure.reason,
            )  # fmt: skip
            history.append(event, now)
    if status.verdict.state is State.SERVING and _began_to_serve(before, status, last):
        version = _number(record.champion)
        message = status.verdict.message
        history.append(
            Event(record.id, "outcome", "serving", None, version, message, DEPLOYER), now
        )
    if status.verdict.state is State.RETIRED and before.draining and not record.draining:
        event = Event(record.id, "outcome", "retired", None, None, status.verdict.message, DEPLOYER)
        history.append(event, now)
    for tags in _tags_of_stopped(status, before):
        writer.schedule(tags)
    if status.settled:
        for tags in _tags(status):
            writer.schedule(tags)


def _promoter(record: Record) -> str:
    """Name the user who claims the promotion; UNKNOWN if no user does."""
    promotion = promotions.winner(record.promotions)
    return f"{promotion.by} (by the CLI)" if promotion and promotion.by else UNKNOWN


def _began_to_serve(before: Record, status: Status, last: Status | None) -> bool:
    """Return whether the champion began to serve just now; a Deployer restart is no event."""
    now = _digest(status.record.champion)
    if last is None:
        return status.settled and _digest(before.champion) != now
    return last.verdict.state is not State.SERVING or _digest(last.record.champion) != now


def _tags_of_stopped(status: Status, before: Record) -> list[VersionTags]:
    """Build the tags of the versions that stopped serving in this pass."""
    record = status.record
    left = {d.predictor.version for d in before.draining}
    left -= {predictor.version for predictor in record.every_predictor}
    text = f"{State.RETIRED}: nothing is promoted"
    if record.champion:
        text = f"{TagReason.SUPERSEDED}: version {_number(record.champion)} serves"
    return [VersionTags(version, record.environment, text, "") for version in sorted(left)]


def _tags(status: Status) -> list[VersionTags]:
    record, environment = status.record, status.record.environment
    serving = record.champion.version if record.champion else None
    shown: dict[VersionId, VersionTags] = {}
    for losing in status.wanted.losing:
        text = f"{TagReason.NOT_SERVED}: {losing.message}"
        shown[losing.version] = VersionTags(losing.version, environment, text, "")
    verdict = status.verdict
    if serving:
        text = str(State.SERVING)
        if serving == status.wanted.version or status.wanted.version is None:
            settled = verdict.reason == Reason.READY
            text = str(verdict.state) if settled else _sentence(status)
        shown[serving] = VersionTags(serving, environment, text, status.url)
    wanted = status.wanted.version
    if wanted and wanted != serving:
        shown[wanted] = VersionTags(wanted, environment, _sentence(status), "")
    return list(shown.values())


def _sentence(status: Status) -> str:
    verdict = status.verdict
    return f"{verdict.state} ({verdict.reason}): {verdict.message}"


def _digest(predictor: Predictor | None) -> str:
    return predictor.digest if predictor else ""


def _number(predictor: Predictor | None) -> str | None:
    return str(predictor.version.number) if predictor else None
