"""Evidence of a rollout: what two predictors counted at the same time, and the verdict on it.

Durations are counted in buckets: bucket i holds all over 1.05 ** (i - 1) * 10 us and up to
1.05 ** i * 10 us (serving/telemetry/sketch.py). Rates and shares are between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", str, int)
Buckets = Mapping[int, int]
"""Counts by the number of a bucket."""

Answer = tuple[float, int | None]
"""What Prometheus said of a stretch of time: a value, and of how many cases it is the share."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What the replicas of one predictor counted together in one window.

    Attributes:
        answered: Requests that ended while their client waited.
        errors: Those of them that failed, whatever the protocol made of it.
        rejected: Those of them that the server refused as invalid.
        seconds: How long the requests took.
        labels: How often the model gave each label; the rarer labels are missing.
        bins: How often the model gave a number in each bin.
        values: The values that the model gave, as far as they were looked at.
        missing: Those of them that were NaN or none.
        asked: What Prometheus said of the predictor, by the metric's name.
    """

    answered: int = 0
    errors: int = 0
    rejected: int = 0
    seconds: Buckets = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    bins: Buckets = field(default_factory=dict)
    values: int = 0
    missing: int = 0
    asked: Mapping[str, Sequence[Answer]] = field(default_factory=dict)

    def plus(self, other: Arm) -> Arm:
        """Add the counts of another replica, or of another window."""
        return Arm(
            self.answered + other.answered,
            self.errors + other.errors,
            self.rejected + other.rejected,
            added(self.seconds, other.seconds),
            added(self.labels, other.labels),
            added(self.bins, other.bins),
            self.values + other.values,
            self.missing + other.missing,
            {
                name: (*self.asked.get(name, ()), *other.asked.get(name, ()))
                for name in {**self.asked, **other.asked}
            },
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Ten seconds in which both predictors took their shares of the same traffic.

    Attributes:
        number: Of the first window: seconds since the epoch, divided by ten.
        until: The number of the last window; another one where windows were merged.
        candidate: What the candidate counted.
        champion: What the champion counted.
        reference: How long the champion's requests took in the five minutes before.
    """

    number: int
    until: int
    candidate: Arm
    champion: Arm
    reference: Buckets = field(default_factory=dict)

    def plus(self, later: Window) -> Window:
        """Merge with a later window; the reference is the one from before both."""
        return Window(
            self.number,
            later.until,
            self.candidate.plus(later.candidate),
            self.champion.plus(later.champion),
            self.reference or later.reference,
        )


class Trial(NamedTuple):
    """One attempt of a predictor at a rollout, or at the bake after it.

    Attributes:
        deployment: The deployment's id.
        subject: The digest of the predictor that is judged.
        began: When the attempt began, in whole seconds since the epoch.
        policy: The digest of what it is judged by, and of the predictor that it is compared with.
    """

    deployment: str
    subject: str
    began: int
    policy: str


class Outcome(StrEnum):
    """The outcome of a judgement; only PASS lets a rollout take the next step."""

    FAIL = "fail"
    """Harm is shown."""
    NO_DATA = "no_data"
    """Nothing can be said: too few requests, or counts that cannot be compared."""
    UNDECIDED = "undecided"
    """Neither harm is shown nor what the step requires."""
    PASS = "pass"  # noqa: S105 - no password

    @property
    def precedence(self) -> int:
        """Lower numbers win where outcomes meet."""
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """The verdict on one metric, with the numbers that it rests on.

    Attributes:
        metric: Its name in serving.yaml: "errors", "latency.p99".
        outcome: The outcome.
        message: A sentence with the numbers.
        candidate: The candidate's value; None where it has none yet.
        champion: The champion's, at the same time.
        low: The lower limit of the difference that is judged.
        high: The upper limit of the difference.
        margin: The difference up to which the candidate counts as not worse.
        more: About how many more requests of the candidate it takes; None where nobody can say.
    """

    metric: str
    outcome: Outcome
    message: str
    candidate: float | None = None
    champion: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    more: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a candidate at one step of its rollout.

    Attributes:
        subject: The digest of the candidate.
        baseline: The digest of the predictor that it was compared with.
        policy: The digest of the policy in force.
        step: The index of the step.
        since: The beginning of the first window, in seconds since the epoch.
        until: The end of the last window.
        outcome: The outcome of all metrics together.
        metrics: The verdicts on the single metrics.
        message: Why, as a clause; that of the metric that decided.
        requests: The candidate's requests at this step.
        reason: Why the counts cannot be compared, where an operator should look; else empty.
    """

    subject: str
    baseline: str
    policy: str
    step: int
    since: float
    until: float
    outcome: Outcome
    metrics: tuple[MetricVerdict, ...] = ()
    message: str = ""
    requests: int = 0
    reason: str = ""


def added(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    """Add counts key by key."""
    found = dict(one)
    for key, count in other.items():
        found[key] = found.get(key, 0) + count
    return found
