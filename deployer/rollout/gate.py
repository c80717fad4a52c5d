"""Decide whether a candidate may take the next step: by time, evidence, operators."""

from __future__ import annotations

from typing import Final

from deployer.schema.units import format_duration
from deployer.spec.rollout import Step
from deployer.state.evidence import Outcome, Verdict
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Failure, Record

FRESH_SECONDS: Final = 60.0
"""How old a verdict may be that lets a rollout go on."""


def is_judged(predictor: Predictor) -> bool:
    """Decide whether a rollout is judged by evidence: a step says what has to be so."""
    return any(isinstance(step, Step) for step in predictor.spec.rollout.steps)


def harm(candidate: Candidate, observed: Observed, now: float) -> Failure | None:
    """Return the failure of a candidate that was shown to do harm, at whichever step."""
    verdict = observed.verdict
    if verdict is None or verdict.subject != candidate.predictor.digest or candidate.step < 0:
        return None
    if verdict.outcome is not Outcome.FAIL:
        return None
    return _rolled_back(candidate, verdict.message, now)


def harm_in_bake(record: Record, observed: Observed, now: float) -> Failure | None:
    """Return the failure of a champion that was shown to do harm while its predecessor is warm."""
    verdict, champion, standby = observed.verdict, record.champion, record.standby
    if verdict is None or champion is None or standby is None:
        return None
    same = (verdict.subject, verdict.baseline) == (champion.digest, standby.predictor.digest)
    if not same or verdict.outcome is not Outcome.FAIL:
        return None
    message = (
        f"Version {champion.version.number} was rolled back after it took all of the traffic: "
        f"{verdict.message}."
    )
    return Failure(Reason.ROLLED_BACK, message, "", now)


def hold_back(candidate: Candidate, observed: Observed, now: float) -> str | Failure | None:
    """Return what the next step waits for, as a clause.

    Returns:
        A failure if the rollout ends at this step, and None if it may take the next one.
    """
    step = candidate.predictor.spec.rollout.step(candidate.step)
    if candidate.step_since is None:
        return "the gateway to shift traffic"
    lasted = now - candidate.step_since
    if lasted < step.min_time:
        return f"the step at {step.weight} % to have lasted {format_duration(step.min_time)}"
    if step.require and (found := _evidence(candidate, step, observed, lasted, now)):
        return found
    if step.pause and candidate.released < candidate.step:
        return f"an operator to let it leave the step at {step.weight} %"
    return None


def _evidence(
    candidate: Candidate, step: Step, observed: Observed, lasted: float, now: float
) -> str | Failure | None:
    verdict = _fresh(candidate, observed.verdict, now)
    outcome = verdict.outcome if verdict else Outcome.NO_DATA
    why = verdict.message if verdict and verdict.message else "nothing is counted yet"
    if outcome is Outcome.PASS:
        return None
    if step.max_time is None or lasted < step.max_time:
        return f"evidence at {step.weight} % ({why})"
    rollout = candidate.predictor.spec.rollout
    rule = rollout.on_no_data if outcome is Outcome.NO_DATA else rollout.on_undecided
    if rule == "back":
        late = format_duration(step.max_time)
        return _rolled_back(candidate, f"nothing was shown within {late} ({why})", now)
    return f"evidence at {step.weight} %, and longer than asked ({why})" if rule == "wait" else None


def _fresh(candidate: Candidate, verdict: Verdict | None, now: float) -> Verdict | None:
    """Return a verdict on this candidate at this step, from windows of this step alone."""
    if verdict is None or candidate.step_since is None:
        return None
    same = (verdict.subject, verdict.step) == (candidate.predictor.digest, candidate.step)
    young = now - verdict.until <= FRESH_SECONDS
    return verdict if same and young and verdict.since >= candidate.step_since else None


def _rolled_back(candidate: Candidate, why: str, now: float) -> Failure:
    number, share = candidate.predictor.version.number, candidate.predictor.spec.rollout.weights
    message = (
        f"Version {number} was rolled back from {share[candidate.step]} % of the traffic: {why}."
    )
    return Failure(Reason.ROLLED_BACK, message, "", now)
