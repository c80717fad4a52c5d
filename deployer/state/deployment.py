"""The wanted version of a deployment, and the predictors that should exist next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.state.predictor import Predictor
from deployer.state.record import Failure
from deployer.state.registry import VersionId


@dataclass(frozen=True, slots=True)
class Losing:
    """A promoted version that should not serve, with the reason.

    `touched_at` is the time of its last update since another promotion won, if there was one.
    """

    version: VersionId
    via: str
    message: str
    touched_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted champion; None if nothing is promoted, or for the reason in `problem`."""

    champion: Predictor | None
    version: VersionId | None = None
    via: str = ""
    since: float | None = None
    losing: tuple[Losing, ...] = ()
    problem: Failure | None = None
    retire: bool = False


@dataclass(frozen=True, slots=True)
class WeightedPredictor:
    """A predictor of a deployment with its share of the traffic, in percent."""

    predictor: Predictor
    weight: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """The desired predictors and weights, with the predictors to ask and to restart."""

    id: str
    model: str
    environment: str
    predictors: tuple[WeightedPredictor, ...]
    ask: frozenset[str] = frozenset()
    restart: frozenset[str] = frozenset()
    replicas: Mapping[str, int] = field(default_factory=dict)
    """The number of replicas of predictors that are scaled by their messages."""

    def relied_on(self, predictor: Predictor) -> Predictor | None:
        """Return the predictor whose signature users of a queue rely on; None if there is none."""
        spec = predictor.spec
        others = [w for w in self.predictors if w.weight and w.predictor.name != predictor.name]
        if spec.runtime != "queue" or spec.queue.signature == "any" or not others:
            return None
        return max(others, key=lambda one: one.weight).predictor


@dataclass(frozen=True, slots=True)
class Policy:
    """The environment's rules that a rollout follows; durations are in seconds."""

    retire_after: float = 600.0
    retire_listings: int = 2
    max_retirements: int = 1
    max_retirement_share: float = 0.1
    retry_first: float = 10.0
    retry_most: float = 600.0
    poll: float = 1.0
