"""Record the events of a pass in the history, and mirror them to tags of the versions."""

from __future__ import annotations

from deployer.desired import promotions
from deployer.registry.tags import TagWriter, VersionTags
from deployer.rollout import advance
from deployer.state.deployment import Wanted
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason, State, TagReason
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.status.verdict import Status
from deployer.store.history import DEPLOYER, UNKNOWN, Event, History


def record_intent(
    history: History, before: Record, after: Record, wanted: Wanted, now: float
) -> None:
    """Append the intents of a step to the history, before the step is applied."""
    old = _number(before.serving)
    shifted = _digest(before.serving) != _digest(after.serving)
    failure = after.failures.get(_digest(before.serving))
    fell_back = failure if shifted and failure and failure.at == now else None
    new = _candidate(after) or after.serving
    if (
        new
        and not fell_back
        and new.digest not in (_digest(_candidate(before)), _digest(before.serving))
    ):
        if before.serving and before.serving.version == new.version:
            why, who = "the serving spec of the version that serves has changed", DEPLOYER
            if before.serving.server != new.server:
                why = "the platform has another version of chart or server image"
        else:
            why, who = f"{wanted.via} names version {new.version.number}", _promoter(after)
        history.append(Event(after.id, "intent", "rollout", old, _number(new), why, who), now)
    if after.candidate and after.candidate.step >= 0 and _share(before, after) != _share(after):
        new, why = after.candidate.predictor, f"{_share(after)} % of the requests go to it"
        history.append(Event(after.id, "intent", "step", old, _number(new), why, DEPLOYER), now)
    if not shifted:
        return
    if after.serving is None:
        why = "nothing is promoted, and that has lasted"
        history.append(Event(after.id, "intent", "retire", old, None, why, DEPLOYER), now)
        return
    action, why = "shift", "it is ready and answered the model's own example"
    if fell_back:
        action, why = "fall back", fell_back.message
    event = Event(after.id, "intent", action, old, _number(after.serving), why, DEPLOYER)
    history.append(event, now)


def record_outcome(
    history: History,
    writer: TagWriter,
    before: Record,
    status: Status,
    last: Status | None,
    now: float,
) -> None:
    """Append the outcomes of a pass to the history, and mirror them to tags of the versions."""
    record = status.record
    for digest, failure in record.failures.items():
        earlier = before.failures.get(digest)
        if earlier is None or earlier.attempts != failure.attempts:
            version = next(
                (_number(p) for p in _all(before, record) if p and p.digest == digest), None
            )
            event = Event(
                record.id, "outcome", "failed", None, version, failure.message, DEPLOYER,
                failure.reason,
            )  # fmt: skip
            history.append(event, now)
    if status.verdict.state is State.SERVING and _began_to_serve(status, last) and record.serving:
        version = _number(record.serving)
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


def _began_to_serve(status: Status, last: Status | None) -> bool:
    """Return whether the champion began to serve just now; a Deployer restart is no event."""
    if last is None:
        return (
            status.record.serving_since is not None and status.settled and _serves_recently(status)
        )
    was = last.record.serving
    changed = _digest(was) != _digest(status.record.serving)
    return last.verdict.state is not State.SERVING or changed


def _serves_recently(status: Status) -> bool:
    since = status.record.serving_since
    return since is not None and status.observed.at - since < 1.0


def _tags_of_stopped(status: Status, before: Record) -> list[VersionTags]:
    """Build the tags of the versions that stopped serving in this pass."""
    record = status.record
    left = {d.predictor.version for d in before.draining}
    left -= {p.version for p in _all(record) if p}
    text = f"{State.RETIRED}: nothing is promoted"
    if record.serving:
        text = f"{TagReason.SUPERSEDED}: version {_number(record.serving)} serves"
    return [VersionTags(version, record.environment, text, "") for version in sorted(left)]


def _tags(status: Status) -> list[VersionTags]:
    record, environment = status.record, status.record.environment
    serving = record.serving.version if record.serving else None
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


def _all(*records: Record) -> list[Predictor | None]:
    found: list[Predictor | None] = []
    for record in records:
        found += [record.serving, _candidate(record), *(d.predictor for d in record.draining)]
    return found


def _candidate(record: Record) -> Predictor | None:
    return record.candidate.predictor if record.candidate else None


def _share(record: Record, of: Record | None = None) -> int:
    """Return the percent of traffic of a record's candidate, if `of` has the same candidate."""
    same = _digest(_candidate(record)) == _digest(_candidate(of or record))
    return advance.weight(record.candidate) if record.candidate and same else 0


def _digest(predictor: Predictor | None) -> str:
    return predictor.digest if predictor else ""


def _number(predictor: Predictor | None) -> str | None:
    return str(predictor.version.number) if predictor else None
