"""Name the transitions of a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deployer.state.predictor import Predictor


class Kind(StrEnum):
    """The kind of a transition, as the history shows it."""

    ADOPT = "adopt"
    """A predictor that serves becomes the champion of a deployment whose record was lost."""
    ROLLOUT = "rollout"
    """A predictor becomes the candidate."""
    STEP = "step"
    """The candidate gets another share of the traffic."""
    SHIFT = "shift"
    """The candidate becomes the champion."""
    FALL_BACK = "fall back"
    """A draining predictor becomes the champion again, because its successor broke."""
    RETIRE = "retire"
    """The champion leaves without a successor."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition that a pass makes.

    Attributes:
        kind: The kind of the transition.
        before: The champion before it.
        after: The candidate or champion that the transition is about; None for a retirement.
        share: The candidate's new share of the traffic, in percent.
        why: The failure that caused the transition; empty without one.
    """

    kind: Kind
    before: Predictor | None
    after: Predictor | None
    share: int = 0
    why: str = ""
