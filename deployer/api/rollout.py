"""Convert a rollout under way, and the judgement of its candidate, into the API's answer."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import Any, cast

from deployer.api.schema import deployments
from deployer.api.times import iso_time
from deployer.state.evidence import Verdict
from deployer.state.record import Candidate, Record


def view(record: Record, verdict: Verdict | None) -> deployments.Rollout | None:
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


def _judgement(verdict: Verdict) -> deployments.Judgement:
    found: list[Any] = [asdict(metric) for metric in verdict.metrics]
    metrics = [
        {name: None if value in (inf, -inf) else value for name, value in one.items()}
        for one in found
    ]
    return {
        "outcome": verdict.outcome.value,
        "message": verdict.message,
        "since": iso_time(verdict.since),
        "until": iso_time(verdict.until),
        "requests": verdict.requests,
        "metrics": cast("list[deployments.MetricVerdict]", metrics),
    }
