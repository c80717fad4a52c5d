"""Convert a rollout under way, and the judgement of its candidate, into the API's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any, cast

from deployer.analysis.replay import Replayed
from deployer.api.schema import rollouts
from deployer.api.times import iso_time
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Verdict
from deployer.state.record import Candidate, Record


def view(record: Record, verdict: Verdict | None) -> rollouts.Rollout | None:
    """Build the answer about the rollout that is under way, its bake included; None without one."""
    candidate, standby = record.candidate, record.standby
    if candidate is None and (standby is None or record.champion is None):
        return None
    if candidate is None:
        assert record.champion  # noqa: S101 - the line above
        begun, end = record.champion_since or 0.0, len(record.champion.spec.rollout.steps)
        candidate = Candidate(record.champion, begun, end, begun, end)
    else:
        standby = None
    spec = candidate.predictor.spec.rollout
    steps = [spec.step(index) for index in range(len(spec.steps))]
    return {
        "version": str(candidate.predictor.version.number),
        "candidate": candidate.predictor.digest,
        "since": iso_time(candidate.since),
        "step": candidate.step,
        "step_since": iso_time(candidate.step_since),
        "released": candidate.released >= candidate.step >= 0,
        "steps": [
            {
                "weight": step.weight,
                "min_time": step.min_time,
                "max_time": step.max_time,
                "require": step.require,
                "pause": step.pause,
            }
            for step in steps
        ],
        "bake": {
            "version": str(standby.predictor.version.number),
            "until": iso_time(standby.keep_until),
        }
        if standby
        else None,
        "judgement": _judgement(verdict)
        if verdict and verdict.subject == candidate.predictor.digest
        else None,
    }


def evidence(kept: Iterable[tuple[int, Mapping[str, Any]]]) -> rollouts.Evidence:
    """Build the answer about the verdicts that were kept."""
    steps = []
    for step, body in kept:
        said = body["verdict"]
        judgement = _judgement_of(
            said["outcome"], said["message"], said["since"], said["until"], said["requests"],
            said["metrics"],
        )  # fmt: skip
        spec = ServingSpec.model_validate(body["spec"])
        steps.append(_judged(spec, step, body, judgement))
    return {"replayed": [], "steps": steps}


def replayed(
    changes: Sequence[str], spec: ServingSpec, body: Mapping[str, Any], found: Iterable[Replayed]
) -> rollouts.Evidence:
    """Build the answer about what would have been said with other criteria."""
    steps = [
        _judged(
            spec,
            one.step,
            {**body, "spec": spec.model_dump(mode="json", include={"rollout", "analysis"})},
            _judgement_of(
                one.outcome.value, one.message, one.since, one.until, one.requests,
                [asdict(metric) for metric in one.metrics],
            ),
        )
        for one in found
    ]  # fmt: skip
    return {"replayed": list(changes), "steps": steps[::-1]}


def _judged(
    spec: ServingSpec, step: int, body: Mapping[str, Any], judgement: rollouts.Judgement
) -> rollouts.JudgedStep:
    bakes = step >= len(spec.rollout.steps)
    return {
        "version": body["version"],
        "baseline_version": body["baseline_version"],
        "step": step,
        "weight": 100 if bakes else spec.rollout.weights[step],
        "bake": bakes,
        "require": None if bakes else spec.rollout.step(step).require,
        "judgement": judgement,
        "spec": body["spec"],
    }


def _judgement(verdict: Verdict) -> rollouts.Judgement:
    return _judgement_of(
        verdict.outcome.value,
        verdict.message,
        verdict.since,
        verdict.until,
        verdict.requests,
        [asdict(metric) for metric in verdict.metrics],
    )


def _judgement_of(
    outcome: Any,
    message: str,
    since: float,
    until: float,
    requests: int,
    found: Iterable[Mapping[str, Any]],
) -> rollouts.Judgement:
    metrics = [
        {name: None if value in (inf, -inf) else value for name, value in one.items()}
        for one in found
    ]
    return {
        "outcome": outcome,
        "message": message,
        "since": iso_time(since),
        "until": iso_time(until),
        "requests": requests,
        "metrics": cast("list[rollouts.MetricVerdict]", metrics),
    }
