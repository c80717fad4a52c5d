"""Define the nouns of a deployment: wanted, observed and recorded.

Every class is a frozen value; nothing here reads, writes or decides. The nouns of the registry are
in `deployer.state.registry`. Times are seconds since the epoch; MLflow's own are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployer.state.registry import VersionId


class Role(StrEnum):
    """The role of a predictor in its deployment."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"


class Phase(StrEnum):
    """The phase of a predictor on its way to answering requests."""

    ABSENT = "absent"
    FETCHING = "fetching"
    BUILDING = "building"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    FAILED = "failed"


class ExampleState(StrEnum):
    """The state of a predictor's answer to the model's own example."""

    UNASKED = "unasked"
    ASKED = "asked"
    PASSED = "passed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """A predictor's answer to the model's own example: any error, and whether it is transient."""

    state: ExampleState = ExampleState.UNASKED
    message: str = ""
    transient: bool = False
    hint: str = ""


UNASKED = ExampleAnswer()


@dataclass(frozen=True, slots=True)
class Predictor:
    """Everything that serving one model version needs, without asking the registry again.

    `digest` covers the version's identity and the spec: another digest is another predictor.
    """

    name: str
    version: VersionId
    role: Role
    digest: str
    source: str
    spec: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    artifact: str = ""
    """The artifact's digest, pinned at the first fetch; empty before that."""

    server: str = ""
    """The version of chart and server image that renders the predictor; empty where none does."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion: a version that satisfies a selector since `seen_at`, ordered by `sequence`.

    `missed_at` is the time of the listing with which the registry first denied the version.
    `by` is the user who claims the promotion; empty where no user does.
    """

    version: VersionId
    via: str
    sequence: int
    seen_at: float
    missed_at: float | None = None
    by: str = ""
    updated: int = 0
    """The last update of the version that is accounted for, in MLflow's time; 0: unknown."""

    touched: int = 0
    """A later update while another promotion had won, which moved no stage; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Description:
    """The artifact location and the serving.yaml of a version, read once.

    `problem` and `hint` describe the error in a serving.yaml that cannot be used.
    """

    source: str
    serving_file: Mapping[str, Any] | None
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a predictor; without `retry_at`, there is no retry before a change."""

    reason: str
    message: str
    hint: str
    at: float
    attempts: int = 1
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout under way; `step` is -1 while preparing, else an index into the weights."""

    predictor: Predictor
    since: float
    step: int = -1
    step_since: float | None = None


@dataclass(frozen=True, slots=True)
class Draining:
    """A predictor that no new request reaches; `since` is when the gateway was seen without it.

    A draining predictor that becomes a candidate again drains until it gets a share.
    """

    predictor: Predictor
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """The absence of any promotion, with its beginning and the complete listings that confirmed it.

    `lost` has the promotions that went with the whole model; they hold again when it is back.
    """

    since: float
    listings: int
    last_listing: float
    lost: tuple[Promotion, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator's order to change nothing."""

    by: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """The state of a deployment that must survive a restart; small, versioned, one for each."""

    id: str
    model: str
    environment: str
    project: str = ""
    marks: tuple[Promotion, ...] = ()
    next_sequence: int = 1
    note: str = ""
    serving: Predictor | None = None
    serving_since: float | None = None
    candidate: Candidate | None = None
    draining: tuple[Draining, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    absence: Absence | None = None
    retired_at: float | None = None
    server: str = ""
    pause: Pause | None = None
    allow_retire: bool = False
    adopt: tuple[str, ...] = ()
    """Uids of foreign objects that the controller may adopt for an operator; kept until it has."""
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)

    @property
    def leaving(self) -> frozenset[str]:
        """Names of the draining predictors that are not a candidate again."""
        candidate = self.candidate.predictor.name if self.candidate else ""
        return frozenset(d.predictor.name for d in self.draining) - {candidate}


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
    """

    predictors: Mapping[str, ObservedPredictor]
    at: float
    gateway_error: str = ""
    gateway_hint: str = "schnitzel doctor"
    drift: tuple[str, ...] = ()


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
    slots: tuple[WeightedPredictor, ...]
    ask: frozenset[str] = frozenset()
    restart: frozenset[str] = frozenset()


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
