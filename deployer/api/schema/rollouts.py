"""Declare the API's answers about rollouts, and about what they were judged by."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class RolloutStep(TypedDict):
    """A step of a rollout: the candidate's share, and what has to be so before the next one.

    Times are seconds; `max_time` null: it waits as long as it takes.
    """

    weight: int
    min_time: float
    max_time: float | None
    require: str | None
    pause: bool


class MetricVerdict(TypedDict):
    """The judgement of one metric; about `more` further requests of the candidate decide it.

    `low` and `high` limit the difference that is judged, and `margin` is what is allowed of it.
    """

    metric: str
    outcome: Literal["fail", "no_data", "undecided", "pass"]
    message: str
    candidate: float | None
    champion: float | None
    low: float | None
    high: float | None
    margin: float | None
    more: int | None


class Judgement(TypedDict):
    """The judgement of a candidate at its present step; `requests` are its own in these windows."""

    outcome: Literal["fail", "no_data", "undecided", "pass"]
    message: str
    since: str | None
    until: str | None
    requests: int
    metrics: list[MetricVerdict]


class Bake(TypedDict):
    """The version that stays warm until then, and gets the traffic back if harm is shown."""

    version: str
    until: str | None


class Rollout(TypedDict):
    """A rollout under way. `step` is -1 before the candidate has traffic, else the step's place.

    Once the candidate has all of the traffic, `step` is past the last step, and `bake` is set while
    its predecessor stays warm.
    """

    version: str
    candidate: str
    since: str | None
    step: int
    step_since: str | None
    released: bool
    steps: list[RolloutStep]
    bake: Bake | None
    judgement: Judgement | None


class JudgedStep(TypedDict):
    """What was said last of a step of a rollout, or of the bake after it.

    `step` counts from 0; the bake is behind the last. `spec` has the sections `rollout` and
    `analysis` that were in force.
    """

    version: str
    baseline_version: str
    step: int
    weight: int
    bake: bool
    require: str | None
    judgement: Judgement
    spec: dict[str, Any]


class Evidence(TypedDict):
    """The verdicts on the steps of rollouts, newest first.

    `replayed` are the changes with which the last rollout's windows were judged once more.
    """

    replayed: list[str]
    steps: list[JudgedStep]
