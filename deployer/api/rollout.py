"""Convert a rollout under way, and the judgement of its candidate, into the API's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any, cast

from deployer.analysis.criteria import sections_of
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
            for step in spec.sections
        ],
        "bake": {
            "version": str(standby.predictor.version.number),
            "until": iso_time(standby.keep_until),
        }
        if standby
        else None,
        "judgement": _judgement(asdict(verdict))
        if verdict and verdict.subject == candidate.predictor.digest
        else None,
    }


def evidence(kept: Iterable[tuple[int, Mapping[str, Any]]]) -> rollouts.Evidence:
    """Build the answer about the verdicts that were kept."""
    return {"replayed": [], "steps": [_judged(step, body) for step, body in kept]}


def replayed(
    changes: Sequence[str], spec: ServingSpec, body: Mapping[str, Any], found: Iterable[Replayed]
) -> rollouts.Evidence:
    """Build the answer about what would have been said with other criteria."""
    changed = {**body, "spec": sections_of(spec)}
    steps = [_judged(one.step, {**changed, "verdict": asdict(one)}) for one in found]
    return {"replayed": list(changes), "steps": steps[::-1]}


def _judged(step: int, body: Mapping[str, Any]) -> rollouts.JudgedStep:
    spec = ServingSpec.model_validate(body["spec"])
    bakes = step >= len(spec.rollout.steps)
    return {
        "version": body["version"],
        "baseline_version": body["baseline_version"],
        "step": step,
        "weight": 100 if bakes else spec.rollout.weights[step],
        "bake": bakes,
        "require": None if bakes else spec.rollout.step(step).require,
        "judgement": _judgement(body["verdict"]),
        "spec": body["spec"],
    }


def _judgement(said: Mapping[str, Any]) -> rollouts.Judgement:
    """Convert a verdict, as it is or was kept, or what a replay says, by its fields."""
    metrics = [
        {name: None if value in (inf, -inf) else value for name, value in one.items()}
        for one in said["metrics"]
    ]
    return {
        "outcome": cast("Any", str(said["outcome"])),
        "message": said["message"],
        "since": iso_time(said["since"]),
        "until": iso_time(said["until"]),
        "requests": said["requests"],
        "metrics": cast("list[rollouts.MetricVerdict]", metrics),
    }
