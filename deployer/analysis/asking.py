"""Ask Prometheus for a team's own metrics of two predictors, stretch by stretch.

What is answered rides on the next window of the evidence, so that a replay finds it there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from deployer.analysis.prometheus import Unanswered
from deployer.spec.rollout import PREDICTOR, WINDOW, QueryLimits
from deployer.state.evidence import Answer, MetricVerdict, Outcome, Window

LATE_SECONDS: Final = 15.0
"""How long after its end a stretch is asked about, so that it was scraped."""

MOST_SHARE: Final = 1.1
"""A quotient of two counts may be a little above 1, since Prometheus extrapolates each."""

NOBODY: Final = "this platform asks no Prometheus; platform.yaml names one in prometheus.url"

Ask = Callable[[str, float], float]
"""Asks for the value of a query at a time, and raises `Unanswered` without one."""


class Question(NamedTuple):
    """A question about a stretch of time.

    Attributes:
        limit: The metric, with its query.
        until: The end of the stretch, in seconds since the epoch.
    """

    limit: QueryLimits
    until: float


Reply = tuple[Answer, Answer] | str
"""The answers for the candidate and the champion; or why there are none."""


@dataclass(slots=True)
class Answers:
    """The answers that no window has taken along yet.

    Attributes:
        asked: The end of the last stretch that was asked about, by metric.
        waiting: The answers for the candidate and the champion, by metric.
        problems: Why the last question had no answer, by metric.
    """

    asked: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, list[tuple[Answer, Answer]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def due(
        self, limits: Mapping[str, QueryLimits], first: float, now: float
    ) -> dict[str, Question]:
        """Return what is to be asked now; each stretch is asked about once.

        Args:
            limits: The metrics.
            first: When the first stretch may begin, in seconds since the epoch.
            now: The time.
        """
        found = {}
        for name, limit in limits.items():
            until = (now - LATE_SECONDS) // limit.every * limit.every
            if until - limit.every >= first and until > self.asked.get(name, 0.0):
                found[name] = Question(limit, until)
                self.asked[name] = until
        return found

    def take(self, replies: Mapping[str, Reply]) -> None:
        """Take in what was answered."""
        for name, reply in replies.items():
            if isinstance(reply, str):
                self.problems[name] = reply
            else:
                self.problems.pop(name, None)
                self.waiting.setdefault(name, []).append(reply)

    def explained(self, verdict: MetricVerdict) -> MetricVerdict:
        """Say why there is no answer, where it is known."""
        problem = self.problems.get(verdict.metric)
        if verdict.outcome is not Outcome.NO_DATA or problem is None:
            return verdict
        return replace(verdict, message=f"{verdict.metric}: {problem}")

    def ride(self, window: Window) -> Window:
        """Give a window the answers that wait."""
        if not self.waiting:
            return window
        mine = {name: tuple(pair[0] for pair in pairs) for name, pairs in self.waiting.items()}
        others = {name: tuple(pair[1] for pair in pairs) for name, pairs in self.waiting.items()}
        self.waiting = {}
        return replace(
            window,
            candidate=replace(window.candidate, asked=mine),
            champion=replace(window.champion, asked=others),
        )


def reply_all(
    ask: Ask, questions: Mapping[str, Question], predictors: tuple[str, str]
) -> dict[str, Reply]:
    """Ask each question about the candidate and about the champion."""
    found: dict[str, Reply] = {}
    for name, question in questions.items():
        try:
            mine, others = (_answer(ask, question, predictor) for predictor in predictors)
            found[name] = mine, others
        except Unanswered as error:
            found[name] = str(error)
    return found


def _answer(ask: Ask, question: Question, predictor: str) -> Answer:
    limit = question.limit

    def value(query: str) -> float:
        written = query.replace(PREDICTOR, predictor).replace(WINDOW, f"{limit.every:.0f}s")
        return ask(written, question.until)

    if limit.count is None:
        return value(limit.query), None
    count = value(limit.count)
    if count < 0:
        raise Unanswered(f"the count of {predictor} is {count:g}, and should be at least 0")
    if round(count) == 0:
        return 0.0, 0  # of no case there is no share
    share = value(limit.query)
    if not 0 <= share <= MOST_SHARE:
        raise Unanswered(f"the query of {predictor} gives {share:g}, and should give a share")
    return min(share, 1.0), round(count)
