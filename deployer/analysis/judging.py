"""Judge the candidates of rollouts: read what both predictors counted, and keep a verdict ready.

Jobs in the background read, each ten seconds a deployment, and only while a candidate shares the
traffic in a rollout that is judged. A pass takes the last verdict and waits for nothing.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Final

from deployer.analysis.windows import (
    SECONDS,
    STALE,
    PredictorWindows,
    Replica,
    WindowsUnreadable,
    paired,
    parse,
)
from deployer.background.jobs import Jobs
from deployer.rollout.gate import is_judged
from deployer.rollout.judge import Criteria, Evidence, RateLimit, estimated, fold, judge
from deployer.spec.model import ServingSpec
from deployer.state.evidence import MetricVerdict, Outcome, Verdict
from deployer.state.predictor import Predictor
from deployer.state.record import Record

log = logging.getLogger(__name__)

PARALLEL: Final = 4
PATIENCE_SECONDS: Final = 20.0

Read = Callable[[Predictor], Mapping[str, bytes]]
"""Reads the windows of each replica of a predictor, by its name; b"" of one that is silent."""

Readings = tuple[Mapping[str, bytes], Mapping[str, bytes]]


@dataclass(slots=True)
class _Rollout:
    """The evidence on one candidate, and the reading of more of it."""

    subject: Predictor
    baseline: Predictor
    policy: str
    step: int = -1
    since: float | None = None
    first: int = 0
    candidate: PredictorWindows = field(default_factory=PredictorWindows)
    champion: PredictorWindows = field(default_factory=PredictorWindows)
    evidence: Evidence = field(default_factory=Evidence)
    began: int = 0
    problem: str = ""
    read_at: float = 0.0
    job: str = ""


class Judging:
    """The verdicts on the candidates of all deployments.

    Args:
        changed: Called with a deployment's id when there is a new verdict.
        clock: Seconds since the epoch.
    """

    def __init__(self, changed: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._changed = changed
        self._clock = clock
        self._rollouts: dict[str, _Rollout] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._jobs: Jobs[Readings] = Jobs(
            "evidence", PARALLEL, clock, ended=self._ended, retry=None, patience=PATIENCE_SECONDS
        )

    def verdict(self, record: Record, read: Read | None) -> Verdict | None:
        """Return the verdict on a record's candidate, and begin to read more where `read` is given.

        None where no candidate shares the traffic, or where its rollout is not judged.
        """
        candidate, champion = record.candidate, record.champion
        if candidate is None or champion is None or candidate.step < 0:
            if read:
                self.forget(record.id)
            return None
        if not is_judged(candidate.predictor):
            return None
        with self._lock:
            rollout = self._of(record.id, candidate.predictor, champion)
            self._at_step(rollout, candidate.step, candidate.step_since)
            now = self._clock()
            if read and not rollout.job and now - rollout.read_at >= SECONDS:
                rollout.job, rollout.read_at = f"{record.id} {next(self._numbers)}", now
                subject, baseline = rollout.subject, rollout.baseline
                self._jobs.ensure(rollout.job, partial(_read, read, subject, baseline))
            return self._judge(rollout, now)

    def forget(self, deployment: str) -> None:
        """Drop the evidence of a rollout that ended."""
        with self._lock:
            self._rollouts.pop(deployment, None)

    def close(self) -> None:
        """Stop reading."""
        self._jobs.close(0.0)

    def _of(self, deployment: str, subject: Predictor, baseline: Predictor) -> _Rollout:
        """Find the rollout; another candidate or champion begins without evidence."""
        found = self._rollouts.get(deployment)
        policy = policy_digest(subject.spec)
        same = found and (found.subject.digest, found.baseline.digest) == (
            subject.digest,
            baseline.digest,
        )
        if found is None or not same:
            found = self._rollouts[deployment] = _Rollout(subject, baseline, policy)
        elif found.policy != policy:
            found.subject, found.policy, found.evidence = subject, policy, Evidence()
            found.step = -1
        return found

    @staticmethod
    def _at_step(rollout: _Rollout, step: int, since: float | None) -> None:
        """Count from a step's warm-up on, once the gateway serves its share."""
        if (rollout.step, rollout.since) == (step, since):
            return
        if rollout.step >= 0:
            rollout.evidence = rollout.evidence.at_next_step()
        rollout.step, rollout.since, rollout.began = step, since, 0
        if since is not None:
            warm = since + rollout.subject.spec.analysis.warmup
            rollout.first = math.ceil(warm / SECONDS)

    def _ended(self, key: str) -> None:
        job = self._jobs.peek(key)
        self._jobs.forget(key)
        deployment = key.rpartition(" ")[0]
        with self._lock:
            rollout = self._rollouts.get(deployment)
            if job is None or rollout is None or rollout.job != key:
                return
            rollout.job = ""
            if job.result is None:
                rollout.problem = str(job.error or "nobody answered")
            else:
                self._take(rollout, job.result)
        self._changed(deployment)

    def _take(self, rollout: _Rollout, found: Readings) -> None:
        at = int(self._clock() // SECONDS)
        rollout.problem = ""
        for windows, pages in zip((rollout.candidate, rollout.champion), found, strict=True):
            replicas: dict[str, Replica | None] = {}
            for name, page in pages.items():
                try:
                    replicas[name] = parse(page) if page else None
                except WindowsUnreadable as error:
                    rollout.problem, replicas[name] = f"{name}: {error}", None
            windows.take(replicas, at)
        if rollout.since is None:
            return
        criteria = criteria_of(rollout.subject.spec)
        first = max(rollout.first, rollout.evidence.until + 1)
        for window in paired(rollout.candidate, rollout.champion, first):
            rollout.began = rollout.began or window.number
            rollout.evidence = fold(rollout.evidence, window, criteria)

    @staticmethod
    def _judge(rollout: _Rollout, now: float) -> Verdict:
        spec, evidence = rollout.subject.spec, rollout.evidence
        criteria = criteria_of(spec)
        require = spec.rollout.step(rollout.step).require or "no_harm"
        outcome, metrics = judge(evidence, criteria, require)
        until = max(evidence.until, rollout.first - 1)
        if outcome is not Outcome.FAIL and rollout.since is None:
            outcome, message = Outcome.NO_DATA, "the gateway does not serve its share yet"
        elif outcome is not Outcome.FAIL and now // SECONDS - until > STALE + 1:
            outcome = Outcome.NO_DATA
            message = rollout.problem or "not every replica was read for 30 s"
        else:
            metrics = tuple(estimated(one, evidence, criteria) for one in metrics)
            message = _message(outcome, metrics, evidence, criteria)
        return Verdict(
            rollout.subject.digest,
            rollout.baseline.digest,
            rollout.policy,
            rollout.step,
            float((rollout.began or rollout.first) * SECONDS),
            float((evidence.until + 1) * SECONDS),
            outcome,
            metrics,
            message,
            evidence.candidate.answered,
        )


def _read(read: Read, subject: Predictor, baseline: Predictor) -> Readings:
    return read(subject), read(baseline)


def criteria_of(spec: ServingSpec) -> Criteria:
    """Translate the section `analysis` of a serving spec."""
    metrics = spec.analysis.metrics
    limits = {"errors": metrics.errors, "rejected": metrics.rejected}
    latency = metrics.latency.model_dump() if metrics.latency else {}
    return Criteria(
        spec.analysis.min_requests,
        {name: RateLimit(one.worse_by, one.max) for name, one in limits.items() if one},
        {name: factor for name, factor in latency.items() if factor is not None},
        metrics.answers.distance if metrics.answers else None,
    )


def policy_digest(spec: ServingSpec) -> str:
    """Hash what a rollout is judged by: another policy begins without evidence."""
    text = spec.rollout.model_dump_json() + spec.analysis.model_dump_json()
    return sha256(text.encode()).hexdigest()[:16]


def _message(
    outcome: Outcome,
    metrics: tuple[MetricVerdict, ...],
    evidence: Evidence,
    criteria: Criteria,
) -> str:
    """Name the metric that decides, and about how many more requests it takes."""
    fewest = min(evidence.candidate.answered, evidence.champion.answered)
    if outcome is Outcome.NO_DATA:
        return f"{fewest:,} of {criteria.min_requests:,} requests of each version"
    first = next((one for one in metrics if one.outcome is outcome), None)
    if first is None:
        return f"no harm in {fewest:,} requests"
    more = f"; about {first.more:,} more requests" if first.more else ""
    return f"{first.message}{more}"
