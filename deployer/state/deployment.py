"""The nouns: what the registry holds, what is wanted, what runs and what is remembered.

Every class is a frozen value; nothing here reads, writes or decides. What the registry holds is in
`deployer.state.registry`. Times are seconds since the epoch; MLflow's own are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployer.state.registry import VersionId


class Role(StrEnum):
    """What a predictor is for."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"


class Phase(StrEnum):
    """Where a predictor is on its way to answering."""

    ABSENT = "absent"
    FETCHING = "fetching"
    BUILDING = "building"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    FAILED = "failed"


class ExampleState(StrEnum):
    """What is known of a predictor's answer to the model's own example."""

    UNASKED = "unasked"
    ASKED = "asked"
    PASSED = "passed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """A predictor's answer to the model's own example: what was wrong, and whether it may pass."""

    state: ExampleState = ExampleState.UNASKED
    message: str = ""
    transient: bool = False
    hint: str = ""


UNASKED = ExampleAnswer()


@dataclass(frozen=True, slots=True)
class Predictor:
    """All that is needed to serve one model version, with no word of the registry's needed again.

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
    """The artifact's digest, pinned when it was first fetched; empty before that."""

    server: str = ""
    """The version of chart and server image that it is rendered with; empty where it has none."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion seen: since when a version satisfies a selector, in the order of beginning.

    `missed_at` is the listing with which the registry first denied the version.
    `by` is who says to have promoted it; empty where nobody says so.
    """

    version: VersionId
    via: str
    sequence: int
    seen_at: float
    missed_at: float | None = None
    by: str = ""
    updated: int = 0
    """The version's update, in MLflow's time, that is accounted for; 0: not remembered."""

    touched: int = 0
    """A later update while another promotion had won, which moved no stage; 0: there is none."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a version brings along, read once: where its files are and its serving.yaml.

    `problem` and `hint` say what is wrong with a serving.yaml that cannot be used.
    """

    source: str
    serving_file: Mapping[str, Any] | None
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a predictor did not come to serve. No `retry_at`: not tried again until a change."""

    reason: str
    message: str
    hint: str
    at: float
    attempts: int = 1
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout under way. `step` is -1 while preparing, else an index into the weights."""

    predictor: Predictor
    since: float
    step: int = -1
    step_since: float | None = None


@dataclass(frozen=True, slots=True)
class Draining:
    """A predictor that no new request reaches; `since` is when the gateway was seen without it.

    One that is a candidate again drains until it gets a share.
    """

    predictor: Predictor
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """Nothing is promoted: since when, and how many complete listings said so.

    `lost`: the promotions that went with the whole model; they hold again when it is back.
    """

    since: float
    listings: int
    last_listing: float
    lost: tuple[Promotion, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """A person's word that nothing is to change."""

    by: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a deployment must remember over a restart. Small and versioned; one per deployment."""

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
    """Uids of somebody else's objects that a person lets us take over; kept until that is done."""
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)

    @property
    def leaving(self) -> frozenset[str]:
        """Names of what drains and has not been taken up again."""
        candidate = self.candidate.predictor.name if self.candidate else ""
        return frozenset(d.predictor.name for d in self.draining) - {candidate}


@dataclass(frozen=True, slots=True)
class ObservedPredictor:
    """What is seen of one predictor. `live_weight`: percent that the gateway really serves.

    A new one is READY when all `replicas` are; `replicas_ready` of them answer now. `reason` and
    `message` say what is wrong, also with some of the replicas of one that is READY.
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
    """What runs for one deployment. `gateway_error` says why the live weights are not known.

    `drift`: what somebody else changed there, and is left so; a sentence for each object.
    """

    predictors: Mapping[str, ObservedPredictor]
    at: float
    gateway_error: str = ""
    gateway_hint: str = "schnitzel doctor"
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Losing:
    """A version that is promoted and yet not the one to serve, and why.

    `touched_at` is when it was last updated since another promotion won, if it was.
    """

    version: VersionId
    via: str
    message: str
    touched_at: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the registry asks for. No champion: nothing is promoted, or `problem` says why not."""

    champion: Predictor | None
    version: VersionId | None = None
    via: str = ""
    since: float | None = None
    losing: tuple[Losing, ...] = ()
    problem: Failure | None = None
    retire: bool = False


@dataclass(frozen=True, slots=True)
class WeightedPredictor:
    """One predictor of a deployment with its share of the traffic, in percent."""

    predictor: Predictor
    weight: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """What should exist next: the predictors, their weights, and what to do to them."""

    id: str
    model: str
    environment: str
    slots: tuple[WeightedPredictor, ...]
    ask: frozenset[str] = frozenset()
    restart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """The environment's rules, as far as the rollout needs them. Durations in seconds."""

    retire_after: float = 600.0
    retire_listings: int = 2
    max_retirements: int = 1
    max_retirement_share: float = 0.1
    retry_first: float = 10.0
    retry_most: float = 600.0
    poll: float = 1.0
