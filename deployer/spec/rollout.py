"""Declare how a new version gets its traffic, and by what evidence: `rollout` and `analysis`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from deployer.schema.base import AtomicSection, Frozen
from deployer.schema.units import Duration, Factor, Level, Points, Share, format_duration

Require = Literal["no_harm", "not_worse"]
PREDICTOR: Final = "{predictor}"
WINDOW: Final = "{window}"


class Step(AtomicSection):
    """A share of the traffic, and what has to be so before the next."""

    weight: int = Field(ge=1, le=100)
    """The new version's share of the traffic, in percent."""

    min_time: Duration = Field(default=0, le=7 * 86400)
    """How long the step lasts at least, such as "5m"."""

    max_time: Duration | None = Field(default=None, gt=0, le=30 * 86400)
    """How long the step waits for its evidence, after which `on_undecided` or `on_no_data` says
    what happens. Null: as long as it takes."""

    require: Require | None = None
    """What the evidence has to show before the next step: no_harm (enough requests, and no harm)
    or not_worse. Null: nothing, the time alone counts; a harm that is shown ends the rollout."""

    pause: bool = False
    """Whether an operator has to say `schnitzel deploy advance` before the next step."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_time is not None and self.max_time < self.min_time:
            raise ValueError(
                f"should have a max_time of at least its min_time, {format_duration(self.min_time)}"
            )
        if self.max_time is not None and self.require is None:
            raise ValueError("should say what it requires, since max_time limits the wait for it")
        return self


class Rollout(Frozen):
    """The rollout of a new version."""

    steps: list[int | Step] = Field(default=[100], min_length=1, max_length=20)
    """The new version's shares of the traffic, in percent, step by step; the last is 100. A step
    may be a section, with what it requires."""

    step_seconds: Duration = Field(default=0, le=86400)
    """The duration of each step that is a number: seconds, or a duration such as "5m"."""

    ready_timeout: Duration = Field(default=300, gt=0, le=86400)
    """How long a new version may take to load before it counts as failed, such as "5m"."""

    drain: Duration = Field(default=5, le=3600)
    """How long an old version may finish its requests once no new one reaches it, such as "5s"."""

    example: Literal["required", "skip"] = "required"
    """Whether a version must answer its logged input example before it gets traffic."""

    bake: Duration = Field(default=60, le=7 * 86400)
    """How long the old version stays warm once a new one has all of the traffic, such as "30m": a
    new version that then does harm gives the traffic back at once. 0: only while it drains."""

    return_window: Duration = Field(default=7 * 86400, le=90 * 86400)
    """How long a version that served before returns without steps when it is promoted again; it
    still has to be ready and to answer its example. 0: it takes every step."""

    on_undecided: Literal["back", "wait", "advance"] = "back"
    """What happens at a step's max_time if neither harm is shown nor what the step requires."""

    on_no_data: Literal["back", "wait"] = "wait"
    """What happens at a step's max_time with too few requests to say anything."""

    @field_validator("steps")
    @classmethod
    def _steps_rise_to_100(cls, steps: list[int | Step]) -> list[int | Step]:
        shares = weights(steps)
        if shares != sorted(set(shares)) or shares[0] < 1 or shares[-1] != 100:
            raise ValueError("should rise from at least 1 to a last step of 100")
        if isinstance(last := steps[-1], Step) and last != Step(weight=100):
            raise ValueError("should end with 100 alone: after it there is no next step")
        return steps

    @property
    def weights(self) -> list[int]:
        """The shares of the traffic alone, in percent."""
        return weights(self.steps)

    def step(self, index: int) -> Step:
        """Return a step as a section, whichever way it was written."""
        found = self.steps[index]
        if isinstance(found, Step):
            return found
        return Step(weight=found, min_time=self.step_seconds)

    @property
    def sections(self) -> list[Step]:
        """Every step as a section, in their order."""
        return [self.step(index) for index in range(len(self.steps))]


def weights(steps: list[int | Step]) -> list[int]:
    """Return the share of each step, in percent."""
    return [step.weight if isinstance(step, Step) else step for step in steps]


class RateLimits(AtomicSection):
    """The limits of a rate of requests."""

    worse_by: Points | None = None
    """By how many percentage points the new version may exceed the champion, such as "2pp"."""

    max: Share | None = None
    """The most that a new version may have, whatever the champion does, such as "5%"."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.worse_by is None and self.max is None:
            raise ValueError("should have worse_by or max")
        return self


class QueryLimits(AtomicSection):
    """A metric of your own, which the Deployer asks Prometheus for: the lower, the better."""

    query: str = Field(min_length=1, max_length=4000)
    """A PromQL expression with one value as its result. It has to name {predictor}, in whose place
    comes the name of the one version's predictor, then that of the other's; and it should name
    {window}, in whose place comes the stretch of time that is asked about, such as "60s"."""

    count: str | None = Field(default=None, min_length=1, max_length=4000)
    """A PromQL expression for the number of cases of which `query` is the share, between 0 and 1:
    then chance is reckoned with, as with errors. Null: `query` gives a bare value, and three of
    them in a row above `max` count as harm."""

    every: Duration = Field(default=60, ge=10, le=3600)
    """How long the stretches are: at least twice as long as Prometheus' scrape interval."""

    worse_by: Points | None = None
    """By how many percentage points the new version may exceed the champion, such as "2pp"; needs
    `count`."""

    max: Level | None = None
    """The most that a new version may have, whatever the champion does: "5%", or a number."""

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if self.worse_by is None and self.max is None:
            raise ValueError("should have worse_by or max")
        if self.worse_by is not None and self.count is None:
            raise ValueError(
                "should have a count beside worse_by: of how many cases is it the share?"
            )
        if self.count is not None and self.max is not None and self.max > 1:
            raise ValueError("should have a max of at most 1 beside count: it is a share")
        for name, text in (("query", self.query), ("count", self.count)):
            if text is not None and PREDICTOR not in text:
                raise ValueError(
                    f"should name {PREDICTOR} in its {name}, else both versions get one answer"
                )
        return self

    @property
    def bounds(self) -> RateLimits:
        """The limits as those of a rate."""
        return RateLimits(worse_by=self.worse_by, max=self.max)


class LatencyLimits(Frozen):
    """How many times as long as the champion's the new version's requests may take."""

    p50: Factor | None = 1.2
    """The median, such as "1.2x"; null: it is not judged."""

    p99: Factor | None = 1.2
    """The time within which 99 % of the requests are answered."""


class AnswerLimits(AtomicSection):
    """The limit of how far the answers of both versions may differ."""

    distance: Share = 0.1
    """The largest distance of their distributions: 0 for equal ones, 1 for disjoint ones."""


class Metrics(Frozen):
    """The metrics that a new version is judged by; null: not by this one.

    Any other name is a metric of your own, such as `basket`, with a `query` for Prometheus.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, QueryLimits] = Field(init=False)

    errors: RateLimits | None = RateLimits(worse_by=0.02)
    """Requests that failed: model errors, timeouts, and those that found no room or no model."""

    rejected: RateLimits | None = RateLimits(worse_by=0.02)
    """Requests that the server refused as invalid: a stricter signature shows here."""

    latency: LatencyLimits | None = LatencyLimits()
    """How long requests take."""

    answers: AnswerLimits | None = None
    """The distribution of the model's answers. An improved model may well answer otherwise, so
    that it is only reported by default."""

    @model_validator(mode="before")
    @classmethod
    def _others_are_queries(cls, found: object) -> object:
        if isinstance(found, Mapping):
            for name, section in found.items():
                if name in cls.model_fields or isinstance(section, QueryLimits):
                    continue
                if not isinstance(section, Mapping) or "query" not in section:
                    near = difflib.get_close_matches(str(name), list(cls.model_fields), 1)
                    perhaps = f", but {near[0]}" if near else ""
                    raise ValueError(
                        f"has no metric {str(name)!r}{perhaps}; one of your own needs a query"
                    )
                if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", str(name)):
                    raise ValueError(
                        f"should name a metric with small letters, digits and _: not {str(name)!r}"
                    )
        return found

    @property
    def asked(self) -> Mapping[str, QueryLimits]:
        """The metrics of a team's own, by their names."""
        return self.__pydantic_extra__


class Analysis(Frozen):
    """How a new version is judged while it shares the traffic."""

    baseline: Literal["champion", "twin"] = "champion"
    """What a new version is compared with: the processes of the champion, or a twin, which is a
    fresh process of the champion's version with the new version's share of the traffic."""

    warmup: Duration = Field(default=30, le=3600)
    """How long after each change of shares nothing is counted, such as "30s"."""

    min_requests: int = Field(default=100, ge=1, le=1_000_000)
    """The requests of each version below which nothing is said."""

    metrics: Metrics = Metrics()
    """The metrics."""
