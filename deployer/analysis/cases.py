"""Hold the evidence on one deployment: on a candidate beside the champion, or on a new champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from deployer.analysis.windows import (
    KEPT,
    SECONDS,
    STALE,
    PredictorWindows,
    Replica,
    WindowsUnreadable,
    paired,
    parse,
)
from deployer.rollout import bake, judge
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.gate import is_judged
from deployer.rollout.judge import Criteria, Evidence
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Arm, MetricVerdict, Outcome, Verdict
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Record

Readings = tuple[Mapping[str, bytes], Mapping[str, bytes]]
"""The windows of each replica of the subject and of its baseline; b"" of a silent replica."""


@dataclass(slots=True)
class Case:
    """Two predictors, what they counted, and the evidence that it amounts to.

    Attributes:
        subject: The predictor that is judged.
        baseline: The predictor that it is compared with.
        policy: The digest of what the subject is judged by.
        problem: Why the last reading was of no use; empty if it was.
        read_at: When the last reading began, in seconds since the epoch.
        job: The reading that goes on; empty without one.
    """

    subject: Predictor
    baseline: Predictor
    policy: str
    mine: PredictorWindows = field(default_factory=PredictorWindows)
    others: PredictorWindows = field(default_factory=PredictorWindows)
    problem: str = ""
    read_at: float = 0.0
    job: str = ""

    def is_of(self, subject: Predictor, baseline: Predictor) -> bool:
        """Return whether these two predictors are compared."""
        return (self.subject.digest, self.baseline.digest) == (subject.digest, baseline.digest)

    def take(self, found: Readings, now: float) -> None:
        """Take in a reading of both predictors."""
        self.problem = ""
        for windows, pages in zip((self.mine, self.others), found, strict=True):
            replicas: dict[str, Replica | None] = {}
            for name, page in pages.items():
                try:
                    replicas[name] = parse(page, windows.last(name)) if page else None
                except WindowsUnreadable as error:
                    self.problem, replicas[name] = f"{name}: {error}", None
            windows.take(replicas, int(now // SECONDS))
        self._fold()

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on what was taken in so far."""
        raise NotImplementedError

    def _fold(self) -> None:
        raise NotImplementedError

    def _is_stale(self, until: int, now: float) -> bool:
        return now // SECONDS - until > STALE + 1

    @property
    def _silence(self) -> str:
        return self.problem or "not every replica was read for 30 s"


@dataclass(slots=True)
class RolloutCase(Case):
    """A candidate that shares the traffic with the champion."""

    step: int = -1
    since: float | None = None
    first: int = 0
    began: int = 0
    evidence: Evidence = field(default_factory=Evidence)

    def follow(self, candidate: Candidate) -> None:
        """Count from a step's warm-up on, once the gateway serves its share."""
        spec = candidate.predictor.spec
        if (policy := policy_digest(spec)) != self.policy:
            self.subject, self.policy = candidate.predictor, policy
            self.step, self.evidence = -1, Evidence()
        if (self.step, self.since) == (candidate.step, candidate.step_since):
            return
        if self.step >= 0:
            self.evidence = self.evidence.at_next_step()
        self.step, self.since, self.began = candidate.step, candidate.step_since, 0
        if self.since is not None:
            self.first = math.ceil((self.since + spec.analysis.warmup) / SECONDS)

    def _fold(self) -> None:
        if self.since is None:
            return
        criteria = criteria_of(self.subject.spec)
        first = max(self.first, self.evidence.until + 1)
        for window in paired(self.mine, self.others, first):
            self.began = self.began or window.number
            self.evidence = judge.fold(self.evidence, window, criteria)

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on the candidate at its present step."""
        spec, evidence = self.subject.spec, self.evidence
        criteria = criteria_of(spec)
        require = spec.rollout.step(self.step).require or "no_harm"
        outcome, metrics = judge.judge(evidence, criteria, require)
        reason = ""
        if outcome is not Outcome.FAIL and self.since is None:
            outcome, message = Outcome.NO_DATA, "the gateway does not serve its share yet"
        elif outcome is not Outcome.FAIL and self._is_stale(
            max(evidence.until, self.first - 1), now
        ):
            outcome, message = Outcome.NO_DATA, self._silence
        elif outcome is not Outcome.FAIL and (
            split := judge.misrouted(evidence, spec.rollout.weights[self.step] / 100)
        ):
            outcome, message, reason = Outcome.NO_DATA, split, Reason.SPLIT_NOT_AS_ASKED
        else:
            metrics = tuple(judge.estimated(one, evidence, criteria) for one in metrics)
            fewest = min(evidence.candidate.answered, evidence.champion.answered)
            message = _message(outcome, metrics, fewest, criteria)
        return Verdict(
            self.subject.digest,
            self.baseline.digest,
            self.policy,
            self.step,
            float((self.began or self.first) * SECONDS),
            float((evidence.until + 1) * SECONDS),
            outcome,
            metrics,
            message,
            evidence.candidate.answered,
            reason,
        )


@dataclass(slots=True)
class BakeCase(Case):
    """A champion that took all of the traffic `since` then, and its predecessor, still warm.

    Each counts its own answers only, so that the window of the shift is one of both.
    """

    since: float = 0.0
    before: Arm | None = None
    evidence: BakeEvidence = field(default_factory=BakeEvidence)

    @property
    def _first(self) -> int:
        return int(self.since // SECONDS)

    def _fold(self) -> None:
        if self.before is None and self.others.until > self._first:
            self.before = Arm()
            for number in range(self._first - KEPT + 1, self._first + 1):
                self.before = self.before.plus(self.others.get(number) or Arm())
        if self.before is None:
            return
        criteria = bake_criteria_of(self.subject.spec)
        warm = self.since + self.subject.spec.analysis.warmup
        for number in range(max(self._first, self.evidence.until + 1), self.mine.until):
            if (arm := self.mine.get(number)) is not None:
                self.evidence = bake.fold(
                    self.evidence,
                    number,
                    arm,
                    self.before,
                    criteria,
                    warm=number * SECONDS >= warm,
                )

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on the champion since it took all of the traffic."""
        criteria, before = bake_criteria_of(self.subject.spec), self.before or Arm()
        outcome, metrics = bake.judge(self.evidence, before, criteria)
        until = max(self.evidence.until, self._first - 1)
        if outcome is not Outcome.FAIL and self._is_stale(until, now):
            outcome, message = Outcome.NO_DATA, self._silence
        else:
            fewest = min(self.evidence.champion.answered, before.answered)
            message = _message(outcome, metrics, fewest, criteria)
        return Verdict(
            self.subject.digest,
            self.baseline.digest,
            self.policy,
            len(self.subject.spec.rollout.steps) - 1,
            float(self._first * SECONDS),
            float((until + 1) * SECONDS),
            outcome,
            metrics,
            message,
            self.evidence.champion.answered,
        )


def case_of(record: Record, known: Case | None) -> Case | None:
    """Return the case of a record, with the evidence that is known of it; None without one.

    Another candidate, champion or policy begins without evidence.
    """
    champion, candidate = record.champion, record.candidate
    if champion is None:
        return None
    if candidate and candidate.step >= 0:
        if not is_judged(candidate.predictor):
            return None
        rollout = known
        if not isinstance(known, RolloutCase) or not known.is_of(candidate.predictor, champion):
            policy = policy_digest(candidate.predictor.spec)
            rollout = RolloutCase(candidate.predictor, champion, policy)
        assert isinstance(rollout, RolloutCase)  # noqa: S101 - it was found or made
        rollout.follow(candidate)
        return rollout
    standby, since = record.standby, record.champion_since
    if standby is None or since is None:
        return None
    policy = policy_digest(champion.spec)
    same = isinstance(known, BakeCase) and known.is_of(champion, standby.predictor)
    if known and same and known.policy == policy:
        return known
    return BakeCase(champion, standby.predictor, policy, since=since)


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
    )


def bake_criteria_of(spec: ServingSpec) -> Criteria:
    """Translate the section for a bake, in which durations count only if steps were judged."""
    criteria = replace(criteria_of(spec), distance=None)
    judged = any(step.require for step in map(spec.rollout.step, range(len(spec.rollout.steps))))
    return criteria if judged else replace(criteria, latency={})


def policy_digest(spec: ServingSpec) -> str:
    """Hash what a rollout is judged by: another policy begins without evidence."""
    text = spec.rollout.model_dump_json() + spec.analysis.model_dump_json()
    return sha256(text.encode()).hexdigest()[:16]


def _message(
    outcome: Outcome, metrics: tuple[MetricVerdict, ...], fewest: int, criteria: Criteria
) -> str:
    """Name the metric that decides, and about how many more requests it takes."""
    if outcome is Outcome.NO_DATA:
        return f"{fewest:,} of {criteria.min_requests:,} requests of each version"
    first = next((one for one in metrics if one.outcome is outcome), None)
    if first is None:
        return f"no harm in {fewest:,} requests"
    more = f"; about {first.more:,} more requests" if first.more else ""
    return f"{first.message}{more}"
