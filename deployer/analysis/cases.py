"""Hold the evidence on one deployment: on a candidate beside the champion, or on a new champion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from deployer.analysis.asking import Answers, Question
from deployer.analysis.case import Case
from deployer.analysis.criteria import bake_criteria_of, criteria_of, message_of, policy_digest
from deployer.analysis.windows import KEPT, SECONDS, paired
from deployer.rollout import bake, judge, twin
from deployer.rollout.bake import BakeEvidence
from deployer.rollout.gate import is_judged
from deployer.rollout.judge import Evidence
from deployer.state.evidence import Arm, Outcome, Trial, Verdict, Window
from deployer.state.predictor import Role
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Record


@dataclass(slots=True)
class RolloutCase(Case):
    """A candidate that shares the traffic with the champion."""

    step: int = -1
    since: float | None = None
    restored: bool = False
    resumed: int = 0
    first: int = 0
    began: int = 0
    evidence: Evidence = field(default_factory=Evidence)

    def follow(self, candidate: Candidate) -> None:
        """Count from a step's warm-up on, once the gateway serves its share."""
        if (self.step, self.since) == (candidate.step, candidate.step_since):
            return
        same = self.restored and self.step == candidate.step and candidate.step_since is not None
        if self.step >= 0 and not (same and self.began * SECONDS >= (candidate.step_since or 0)):
            self.evidence, self.began = self.evidence.at_next_step(), 0
        self.restored = False
        self.step, self.since = candidate.step, candidate.step_since
        self.answers, self.asking = Answers(), ""
        if self.since is not None:
            warm = self.since + self.subject.spec.analysis.warmup
            self.first = math.ceil(warm / SECONDS)

    def restore(self, kept: Iterable[tuple[int, Window]]) -> None:
        """Take in the windows that were kept of this attempt, in their order."""
        criteria = criteria_of(self.subject.spec)
        for step, window in kept:
            if step != self.step:
                self.evidence, self.began = self.evidence.at_next_step(), window.number
            self.step, self.restored, self.resumed = step, True, window.until + 1
            self.evidence = judge.fold(self.evidence, window, criteria)

    @property
    def last(self) -> int:
        """The number of the last window in the evidence; 0 before the first."""
        return self.evidence.until

    def count_from(self, first: int) -> None:
        """Forget what the step has shown; what speaks for harm stays."""
        self.evidence = replace(self.evidence.at_next_step(), until=0)
        self.first, self.began = first, 0

    def _fold(self) -> None:
        if self.since is None:
            return
        criteria = criteria_of(self.subject.spec)
        first = max(self.first, self.evidence.until + 1)
        for window in paired(self.mine, self.others, first):
            self.began = self.began or window.number
            whole = self.answers.ride(window)
            self.evidence = judge.fold(self.evidence, whole, criteria)
            self.fresh.append((self.step, whole))

    def questions(self, now: float) -> Mapping[str, Question]:
        """Return what Prometheus is to be asked now, by metric."""
        if self.since is None:
            return {}
        asked = self.subject.spec.analysis.metrics.asked
        # What was asked about before a restart rides on the windows that were kept, or is lost.
        first = max(self.first, self.resumed)
        return self.answers.due(asked, float(first * SECONDS), now)

    @property
    def _asked(self) -> float:
        """The share of the traffic of both that the subject should get."""
        own = self.subject.spec.rollout.weights[self.step]
        others = twin.share(own) if self.baseline.role is Role.TWIN else 100 - own
        return own / (own + others)

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on the candidate at its present step."""
        spec, evidence = self.subject.spec, self.evidence
        criteria = criteria_of(spec)
        require = spec.rollout.step(self.step).require or "no_harm"
        outcome, metrics = judge.judge(evidence, criteria, require)
        reason = ""
        if outcome is not Outcome.FAIL and self.since is None:
            outcome, message = Outcome.NO_DATA, "the gateway does not serve its share yet"
        elif outcome is not Outcome.FAIL and self.is_stale(
            max(evidence.until, self.first - 1), now
        ):
            outcome, message = Outcome.NO_DATA, self.silence
        elif outcome is not Outcome.FAIL and (split := judge.misrouted(evidence, self._asked)):
            outcome, message, reason = Outcome.NO_DATA, split, Reason.SPLIT_NOT_AS_ASKED
        else:
            metrics = tuple(judge.estimated(one, evidence, criteria) for one in metrics)
            metrics = tuple(self.answers.explained(one) for one in metrics)
            fewest = min(evidence.candidate.answered, evidence.champion.answered)
            message = message_of(outcome, metrics, fewest, criteria)
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
    """A champion that took all of the traffic when the attempt began, and its warm predecessor.

    Each counts its own answers only, so that the window of the shift is one of both.
    """

    before: Arm | None = None
    evidence: BakeEvidence = field(default_factory=BakeEvidence)

    turned: int = 0

    @property
    def _first(self) -> int:
        return self.turned or int(self.began_at // SECONDS)

    @property
    def last(self) -> int:
        """The number of the last window in the evidence; 0 before the first."""
        return self.evidence.until

    def count_from(self, first: int) -> None:
        """Go on with windows of lower numbers; what was counted stays."""
        self.evidence, self.turned = replace(self.evidence, until=0), first

    def _fold(self) -> None:
        if self.before is None and self.others.until > self._first:
            self.before = Arm()
            for number in range(self._first - KEPT + 1, self._first + 1):
                self.before = self.before.plus(self.others.get(number) or Arm())
            number = self._first - 1
            self.fresh.append((self._step, Window(number, number, Arm(), self.before)))
        if self.before is None:
            return
        for number in range(max(self._first, self.evidence.until + 1), self.mine.until):
            if (arm := self.mine.get(number)) is not None:
                self._add(number, arm, self.before)
                self.fresh.append((self._step, Window(number, number, arm, Arm())))

    def restore(self, kept: Iterable[tuple[int, Window]]) -> None:
        """Take in the windows that were kept; the first has what the predecessor counted."""
        for _, window in kept:
            if self.before is None:
                self.before = window.champion
            else:
                self._add(window.number, window.candidate, self.before)

    def _add(self, number: int, arm: Arm, before: Arm) -> None:
        spec = self.subject.spec
        warm = number * SECONDS >= self.began_at + spec.analysis.warmup
        criteria = bake_criteria_of(spec)
        self.evidence = bake.fold(self.evidence, number, arm, before, criteria, warm=warm)

    @property
    def _step(self) -> int:
        """The number of the bake: that behind the last step."""
        return len(self.subject.spec.rollout.steps)

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on the champion since it took all of the traffic."""
        criteria, before = bake_criteria_of(self.subject.spec), self.before or Arm()
        outcome, metrics = bake.judge(self.evidence, before, criteria)
        until = max(self.evidence.until, self._first - 1)
        if outcome is not Outcome.FAIL and self.is_stale(until, now):
            outcome, message = Outcome.NO_DATA, self.silence
        else:
            fewest = min(self.evidence.champion.answered, before.answered)
            message = message_of(outcome, metrics, fewest, criteria)
        return Verdict(
            self.subject.digest,
            self.baseline.digest,
            self.policy,
            self._step,
            float(self._first * SECONDS),
            float((until + 1) * SECONDS),
            outcome,
            metrics,
            message,
            self.evidence.champion.answered,
        )


def case_of(
    record: Record,
    known: Case | None,
    kept: Callable[[Trial], Iterable[tuple[int, Window]]] = lambda _: (),
) -> Case | None:
    """Return the case of a record, with the evidence that is known of it; None without one.

    Another attempt, candidate, champion or policy begins without evidence.

    Args:
        record: The record.
        known: The case of before.
        kept: Returns the windows that were kept of a trial.
    """
    champion, candidate = record.champion, record.candidate
    if champion is None:
        return None
    found: Case
    if candidate and candidate.step >= 0:
        if not is_judged(candidate.predictor):
            return None
        subject = candidate.predictor
        found = RolloutCase(subject, record.baseline or champion, policy_digest(subject.spec))
        found.began_at = candidate.since
    else:
        standby, since = record.standby, record.champion_since
        if standby is None or since is None:
            return None
        policy = policy_digest(champion.spec)
        found = BakeCase(champion, standby.predictor, policy, began_at=since)
    trial = found.trial(record.id)
    if known and type(known) is type(found) and known.trial(record.id) == trial:
        found = known
    else:
        found.restore(kept(trial))
    if candidate and isinstance(found, RolloutCase):
        found.follow(candidate)
    return found
