"""Hold two predictors against one another: what both counted, read again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deployer.analysis.asking import Answers, Question
from deployer.analysis.windows import (
    SECONDS,
    STALE,
    PredictorWindows,
    Replica,
    WindowsUnreadable,
    parse,
)
from deployer.state.evidence import Trial, Verdict, Window
from deployer.state.predictor import Predictor

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
        asking: The questions to Prometheus that go on; empty without any.
        answers: What Prometheus said, where it is asked.
        began_at: When the attempt began, in seconds since the epoch.
        fresh: Windows that are in the evidence and not in the database yet, with their steps.
    """

    subject: Predictor
    baseline: Predictor
    policy: str
    mine: PredictorWindows = field(default_factory=PredictorWindows)
    others: PredictorWindows = field(default_factory=PredictorWindows)
    problem: str = ""
    read_at: float = 0.0
    job: str = ""
    asking: str = ""
    answers: Answers = field(default_factory=Answers)
    began_at: float = 0.0
    fresh: list[tuple[int, Window]] = field(default_factory=list)

    def take(self, found: Readings, now: float) -> None:
        """Take in a reading of both predictors."""
        self.problem = ""
        if self.last > now // SECONDS + STALE + 1:
            self.mine, self.others = PredictorWindows(), PredictorWindows()
            self.count_from(int(now // SECONDS) + 1)
        for windows, pages in zip((self.mine, self.others), found, strict=True):
            replicas: dict[str, Replica | None] = {}
            for name, page in pages.items():
                try:
                    replicas[name] = parse(page, windows.last(name)) if page else None
                except WindowsUnreadable as error:
                    self.problem, replicas[name] = f"{name}: {error}", None
            windows.take(replicas, int(now // SECONDS))
        self._fold()

    @property
    def last(self) -> int:
        """The number of the last window in the evidence; 0 before the first."""
        raise NotImplementedError

    def count_from(self, first: int) -> None:
        """Count from this window on, after the clock was set back behind the evidence."""
        raise NotImplementedError

    def trial(self, deployment: str) -> Trial:
        """Return the key under which the evidence is kept."""
        against = f"{self.policy}-{self.baseline.digest[:16]}"
        return Trial(deployment, self.subject.digest, int(self.began_at), against)

    def restore(self, kept: Iterable[tuple[int, Window]]) -> None:
        """Take in the windows that were kept of this attempt, in their order."""
        raise NotImplementedError

    def verdict(self, now: float) -> Verdict:
        """Return the verdict on what was taken in so far."""
        raise NotImplementedError

    def questions(self, _: float) -> Mapping[str, Question]:
        """Return what Prometheus is to be asked now, by metric."""
        return {}

    def _fold(self) -> None:
        raise NotImplementedError

    def is_stale(self, until: int, now: float) -> bool:
        """Decide whether the last window is too old to say anything of now."""
        return abs(now // SECONDS - until) > STALE + 1

    @property
    def silence(self) -> str:
        """Why nothing is known of now, as a clause."""
        return self.problem or "not every replica was read for 30 s"
