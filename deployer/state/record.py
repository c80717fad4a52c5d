"""The record of a deployment: what it must remember over a restart.

Times are seconds since the epoch; MLflow's own are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId


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
class RoleHolder:
    """A predictor that holds a role, and since when; None where nobody knows."""

    predictor: Predictor
    since: float | None = None


@dataclass(frozen=True, slots=True)
class FormerChampion:
    """A champion that another one replaced, or that was retired, at `until`."""

    version: VersionId
    digest: str
    until: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout under way: the predictor that is to take over the role that it names.

    `step` is -1 while preparing, else an index into the weights. `released` is the last step
    that an operator let it leave; `hurried`, whether one let it skip all of them. `twin` is the
    fresh process of the champion's version that it is compared with; None: the champion itself.
    """

    predictor: Predictor
    since: float
    step: int = -1
    step_since: float | None = None
    released: int = -1
    hurried: bool = False
    twin: Predictor | None = None


@dataclass(frozen=True, slots=True)
class Draining:
    """A predictor that no new request reaches; `since` is when the gateway was seen without it.

    A draining predictor that becomes a candidate again drains until it gets a share. One that was
    the champion stays warm until `keep_until`, so that the traffic can return to it.
    """

    predictor: Predictor
    since: float | None = None
    keep_until: float | None = None


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
    promotions: tuple[Promotion, ...] = ()
    next_sequence: int = 1
    note: str = ""
    predictors: Mapping[Role, tuple[RoleHolder, ...]] = field(default_factory=dict)
    candidate: Candidate | None = None
    draining: tuple[Draining, ...] = ()
    former: tuple[FormerChampion, ...] = ()
    """The last champions, newest first, without the present one and without those that broke."""
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
    def champion(self) -> Predictor | None:
        """The predictor that takes every request that no other role takes."""
        holders = self.predictors.get(Role.CHAMPION, ())
        return holders[0].predictor if holders else None

    @property
    def champion_since(self) -> float | None:
        """When the champion became it; None without one, or where nobody knows."""
        holders = self.predictors.get(Role.CHAMPION, ())
        return holders[0].since if holders else None

    def with_champion(self, predictor: Predictor | None, since: float | None = None) -> Record:
        """Return the record with this predictor as the champion; None for no champion."""
        found = dict(self.predictors)
        found.pop(Role.CHAMPION, None)
        if predictor:
            found[Role.CHAMPION] = (RoleHolder(predictor, since),)
        return replace(self, predictors=found)

    @property
    def every_predictor(self) -> tuple[Predictor, ...]:
        """Every predictor that may exist once: in a role, on its way to one, then draining."""
        held = [one.predictor for holders in self.predictors.values() for one in holders]
        own = self.candidate
        coming = [one for one in (own.predictor, own.twin) if one] if own else []
        going = [one.predictor for one in self.draining]
        return tuple({one.name: one for one in (*held, *coming, *going)}.values())

    @property
    def baseline(self) -> Predictor | None:
        """The predictor that the candidate is compared with."""
        return (self.candidate and self.candidate.twin) or self.champion

    @property
    def standby(self) -> Draining | None:
        """The predictor that stays warm for a return, while its successor bakes; None without one.

        None also while a rollout shares the traffic: then its champion is what it returns to.
        """
        if self.candidate and self.candidate.step >= 0:
            return None
        kept = [one for one in self.draining if one.keep_until is not None]
        return kept[-1] if kept and self.champion else None

    @property
    def warm(self) -> frozenset[str]:
        """Names of the predictors that stay warm for a return."""
        return frozenset(d.predictor.name for d in self.draining if d.keep_until is not None)

    @property
    def leaving(self) -> frozenset[str]:
        """Names of the draining predictors that are not a candidate again."""
        candidate = self.candidate.predictor.name if self.candidate else ""
        return frozenset(d.predictor.name for d in self.draining) - {candidate}
