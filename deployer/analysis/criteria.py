"""Translate a serving spec into the criteria of the judge, and an outcome into a clause."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from deployer.analysis.windows import SECONDS
from deployer.rollout.judge import Criteria
from deployer.spec.model import ServingSpec
from deployer.state.evidence import MetricVerdict, Outcome


def criteria_of(spec: ServingSpec) -> Criteria:
    """Translate the section `analysis` of a serving spec."""
    metrics = spec.analysis.metrics
    limits = {"errors": metrics.errors, "rejected": metrics.rejected}
    latency = metrics.latency.model_dump() if metrics.latency else {}
    return Criteria(
        spec.analysis.min_requests,
        {name: one for name, one in limits.items() if one},
        {name: factor for name, factor in latency.items() if factor is not None},
        metrics.answers.distance if metrics.answers else None,
        metrics.asked,
        SECONDS,
    )


def bake_criteria_of(spec: ServingSpec) -> Criteria:
    """Translate the section for a bake, in which durations count only if steps were judged.

    Prometheus is not asked: nothing is counted at the same time any more.
    """
    criteria = replace(criteria_of(spec), distance=None, asked={})
    judged = any(step.require for step in spec.rollout.sections)
    return criteria if judged else replace(criteria, latency={})


def policy_digest(spec: ServingSpec) -> str:
    """Hash what a rollout is judged by: another policy begins without evidence."""
    text = spec.rollout.model_dump_json() + spec.analysis.model_dump_json()
    return sha256(text.encode()).hexdigest()[:16]


def sections_of(spec: ServingSpec) -> dict[str, Any]:
    """Return what a version is judged by, JSON-ready: the sections `rollout` and `analysis`."""
    return spec.model_dump(mode="json", include={"rollout", "analysis"})


def message_of(
    outcome: Outcome, metrics: tuple[MetricVerdict, ...], fewest: int, criteria: Criteria
) -> str:
    """Name the metric that decides, and about how many more requests it takes."""
    if outcome is Outcome.NO_DATA and fewest < criteria.min_requests:
        return f"{fewest:,} of {criteria.min_requests:,} requests of each version"
    first = next((one for one in metrics if one.outcome is outcome), None)
    if first is None:
        return f"no harm in {fewest:,} requests"
    more = f"; about {first.more:,} more requests" if first.more else ""
    return f"{first.message}{more}"
