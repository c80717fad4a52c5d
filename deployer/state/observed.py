"""Observations: the state of the predictors of a deployment, as its target sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.state.evidence import Verdict
from deployer.state.predictor import ExampleState, Phase, Predictor


@dataclass(frozen=True, slots=True)
class ObservedPredictor:
    """The observed state of a predictor; the gateway really sends it `live_weight` percent.

    A new predictor is READY when all `replicas` are; `replicas_ready` of them answer now. `reason`
    and `message` describe the problem, also of some replicas of a predictor that is READY.
    """

    predictor: Predictor
    phase: Phase
    since: float
    reason: str = ""
    message: str = ""
    hint: str = ""
    transient: bool = False
    live_weight: int = 0
    example: ExampleState = ExampleState.UNASKED
    example_message: str = ""
    example_hint: str = ""
    artifact_digest: str = ""
    port: int | None = None
    pid: int | None = None
    python: str = ""
    replicas: int = 1
    replicas_ready: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed predictors of a deployment; with a `gateway_error`, live weights are unknown.

    `drift` has the changes by other writers that are left as they are; a sentence for each object.
    `awaits` names what the target still reads of predictors that changed: a pass decides nothing
    until the target has read it, and reports a change. `verdict` is the judgement of the
    candidate's present step, where there is one.
    """

    predictors: Mapping[str, ObservedPredictor]
    at: float
    gateway_error: str = ""
    gateway_hint: str = "schnitzel doctor"
    drift: tuple[str, ...] = ()
    awaits: str = ""
    verdict: Verdict | None = None
