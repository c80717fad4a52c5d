"""Judge the windows of a rollout once more, by other criteria: what would have been said?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from deployer.analysis.criteria import bake_criteria_of, criteria_of, message_of, sections_of
from deployer.analysis.windows import SECONDS
from deployer.errors import SpecInvalid
from deployer.rollout import bake, judge
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.judge import Criteria, Evidence
from deployer.spec.model import ServingSpec
from deployer.spec.resolve import check_layer
from deployer.state.evidence import Arm, MetricVerdict, Outcome, Window

Kept = tuple[int, Window]
"""A window, with the step that it belongs to."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would have been said of a step.

    Attributes:
        step: The index of the step; that behind the last for the bake.
        since: The beginning of its first window, in seconds since the epoch.
        until: The end of the window that decided, or of the last.
        outcome: The outcome; after FAIL nothing follows.
        metrics: The verdicts on the single metrics.
        message: Why, as a clause.
        requests: The new version's requests in these windows.
    """

    step: int
    since: float
    until: float
    outcome: Outcome
    metrics: tuple[MetricVerdict, ...]
    message: str
    requests: int


def replay(spec: ServingSpec, kept: Iterable[Kept]) -> list[Replayed]:
    """Judge the windows of a trial step by step, as often as they came, by a spec's criteria."""
    found: list[Replayed] = []
    evidence = Evidence()
    for step, group in groupby(kept, key=lambda each: each[0]):
        windows = [window for _, window in group]
        if step < len(spec.rollout.steps):
            evidence, said = _step(spec, step, windows, evidence.at_next_step())
        else:
            said = _bake(spec, step, windows)
        found.append(said)
        if said.outcome is Outcome.FAIL:
            break
    return found


def with_criteria(spec: Mapping[str, Any], changes: Sequence[str]) -> ServingSpec:
    """Change the criteria of a spec.

    Args:
        spec: Its sections `rollout` and `analysis`, as they were kept.
        changes: Such as "latency.p99=1.1x", "errors.worse_by=1pp" or "min_requests=50"; null takes
            a criterion away.

    Raises:
        SpecInvalid: A change is none, or names no criterion.
    """
    whole = sections_of(ServingSpec.model_validate(spec))
    for change in changes:
        path, sign, value = change.partition("=")
        if not sign:
            raise SpecInvalid(f"{change!r} changes nothing.", 'Write it as "latency.p99=1.1x".')
        place = whole["analysis"] if path == "min_requests" else whole["analysis"]["metrics"]
        *outer, last = path.split(".")
        for name in outer:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[last] = _plain(value)
    return ServingSpec.model_validate(check_layer("with", whole))


def _plain(value: str) -> float | str | None:
    """Read a value as YAML would: null, a number, or text."""
    if value == "null":
        return None
    if value.isdecimal():
        return int(value)
    return float(value) if re.fullmatch(r"[0-9]*\.[0-9]+", value) else value


def _step(
    spec: ServingSpec, step: int, windows: Sequence[Window], evidence: Evidence
) -> tuple[Evidence, Replayed]:
    criteria = criteria_of(spec)
    require = spec.rollout.step(step).require or "no_harm"
    outcome, metrics = judge.judge(evidence, criteria, require)
    until = windows[0].until
    for window in windows:
        evidence, until = judge.fold(evidence, window, criteria), window.until
        outcome, metrics = judge.judge(evidence, criteria, require)
        if outcome is Outcome.FAIL:
            break
    arms = evidence.candidate, evidence.champion
    return evidence, _said(step, windows[0].number, until, outcome, metrics, arms, criteria)


def _bake(spec: ServingSpec, step: int, windows: Sequence[Window]) -> Replayed:
    criteria, before = bake_criteria_of(spec), windows[0].champion
    evidence, until = BakeEvidence(), windows[0].until
    outcome, metrics = bake.judge(evidence, before, criteria)
    warm = (windows[0].number + 1) * SECONDS + spec.analysis.warmup
    for window in windows[1:]:
        is_warm = window.number * SECONDS >= warm
        evidence = bake.fold(
            evidence, window.number, window.candidate, before, criteria, warm=is_warm
        )
        outcome, metrics = bake.judge(evidence, before, criteria)
        until = window.until
        if outcome is Outcome.FAIL:
            break
    arms = evidence.champion, before
    return _said(step, windows[0].number + 1, until, outcome, metrics, arms, criteria)


def _said(
    step: int,
    first: int,
    until: int,
    outcome: Outcome,
    metrics: tuple[MetricVerdict, ...],
    arms: tuple[Arm, Arm],
    criteria: Criteria,
) -> Replayed:
    fewest = min(arm.answered for arm in arms)
    message = message_of(outcome, metrics, fewest, criteria)
    since, end = float(first * SECONDS), float((until + 1) * SECONDS)
    return Replayed(step, since, end, outcome, metrics, message, arms[0].answered)
