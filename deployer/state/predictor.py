"""Predictors: what is needed to serve a model version, and how far one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deployer.spec.stored import StoredSpec
from deployer.state.registry import VersionId


class Role(StrEnum):
    """The role of a predictor in its deployment."""

    CHAMPION = "champion"
    """Takes every request that no other role takes."""
    TWIN = "twin"
    """Takes as much as the candidate does, as a fresh process of the champion's version."""
    CHALLENGER = "challenger"
    """Takes the requests of its arm of an experiment."""
    SHADOW = "shadow"
    """Takes copies of requests; nobody waits for its answers."""
    ROUTER = "router"
    """Takes every request, and hands it to the predictor of its arm."""


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
    `spec` may be that of an earlier release, in which a newer field is missing and has its default.
    """

    name: str
    version: VersionId
    role: Role
    digest: str
    source: str
    spec: StoredSpec
    origins: Mapping[str, str] = field(default_factory=dict)
    artifact: str = ""
    """The artifact's digest, pinned at the first fetch; empty before that."""

    server: str = ""
    """The version of chart and server image that renders the predictor; empty where none does."""
