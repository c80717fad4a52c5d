"""Give a candidate a fresh process of the champion's version to be compared with.

The champion's own process may be weeks old, warm, and busy with most of the traffic: a difference
may come from that. Its twin is as old as the candidate, has as many replicas and the same share.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from deployer import naming
from deployer.rollout import maintain
from deployer.rollout.gate import is_judged
from deployer.state.observed import Observed
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Failure, Record


def share(own: int) -> int:
    """Return the twin's share of the traffic beside that of the candidate, in percent."""
    return min(own, 100 - own)


def weight(candidate: Candidate) -> int:
    """Return the share of the traffic, in percent, that a candidate's twin should have now."""
    if candidate.twin is None or candidate.step < 0:
        return 0
    return share(candidate.predictor.spec.rollout.weights[candidate.step])


def ensure(record: Record) -> Record:
    """Give the candidate the twin that its spec asks for, and drain one that it does not.

    Where the twin changes while the traffic is shared, the champion gets all of it back until the
    new one is ready.
    """
    candidate, champion = record.candidate, record.champion
    if candidate is None:
        return record
    wanted = _of(record, candidate, champion) if champion and _is_asked_for(candidate) else None
    present = candidate.twin
    if present == wanted or (present and wanted and present.digest == wanted.digest):
        return record
    record = replace(record, candidate=replace(candidate, twin=wanted))
    if present:
        record = maintain.begin_drain(record, present)
    return maintain.give_way(record) if wanted and candidate.step >= 0 else record


def is_away(candidate: Candidate, observed: Observed) -> bool:
    """Decide whether the candidate has a twin that cannot answer now."""
    seen = observed.predictors.get(candidate.twin.name) if candidate.twin else None
    return candidate.twin is not None and (seen is None or seen.phase is not Phase.READY)


def failure(candidate: Candidate, observed: Observed, now: float) -> Failure | None:
    """Return the failure of a rollout whose twin cannot be started."""
    twin = candidate.twin
    seen = observed.predictors.get(twin.name) if twin else None
    if twin is None or seen is None:
        return None
    timeout = candidate.predictor.spec.rollout.ready_timeout
    late = seen.phase in (Phase.STARTING, Phase.UNREADY)
    if seen.phase is not Phase.FAILED and not (
        late and now - max(seen.since, candidate.since) > timeout
    ):
        return None
    why = f": {seen.message.rstrip('.')}" if seen.message else ""
    message = f"The fresh process of version {twin.version.number} to compare it with failed{why}."
    hint = "Make room for one more process, or set analysis.baseline to champion."
    return Failure(Reason.BASELINE_FAILED, message, seen.hint or hint, now)


def _is_asked_for(candidate: Candidate) -> bool:
    predictor = candidate.predictor
    asked = predictor.spec.analysis.baseline == "twin"
    return asked and is_judged(predictor) and not candidate.hurried


def _of(record: Record, candidate: Candidate, champion: Predictor) -> Predictor:
    own = candidate.predictor
    text = f"{Role.TWIN} {champion.digest} {own.digest} {candidate.since}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    number = champion.version.number
    sized = {"replicas": own.spec.replicas, "autoscaling": own.spec.autoscaling}
    return replace(
        champion,
        name=naming.predictor_name(record.model, record.environment, number, digest),
        role=Role.TWIN,
        digest=digest,
        spec=champion.spec.model_copy(update=sized),
    )
