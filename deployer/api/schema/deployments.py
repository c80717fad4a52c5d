"""Declare the API's answers about deployments, registry, environments and clusters.

FastAPI derives the OpenAPI schema from them. The command line knows the Deployer by that schema
alone; tests/contract/openapi.json pins it.
Times are ISO 8601 in UTC, versions are text as in MLflow, weights are percent.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class WantedVersion(TypedDict):
    """The version that the registry asks for, what names it, and since when."""

    version: str
    via: str
    since: str | None


class ServingVersion(TypedDict):
    """The version that serves."""

    version: str


class Predictor(TypedDict):
    """One version being served: where it is on its way, and its live share of the traffic.

    Of `replicas` that there are to be, `replicas_ready` answer now, as last observed.
    """

    name: str
    version: str
    runtime: str
    role: str
    weight: int
    phase: str
    since: str | None
    example: str
    reason: str
    message: str
    pid: int | None
    port: int | None
    replicas: int
    replicas_ready: int


class Losing(TypedDict):
    """A version that is promoted and yet not the one to serve, and why.

    `touched_at` is when it was last updated since it lost, in its stage: that promotes nothing.
    """

    version: str
    via: str
    message: str
    touched_at: str | None


class Paused(TypedDict):
    """An operator's order to change nothing."""

    by: str
    at: str | None
    reason: str


class Condition(TypedDict):
    """One judgement, as Kubernetes has them: Ready, Progressing, Degraded or InSync."""

    type: Literal["Ready", "Progressing", "Degraded", "InSync"]
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class SpecField(TypedDict):
    """A field of the serving spec, and the layer that it comes from."""

    value: Any
    origin: str


class Deployment(TypedDict):
    """The status of one registered model in one environment.

    `notes` say what its serving spec asks for and does not get, or gets with a consequence.
    `retry_at` is when the Deployer retries what failed; null: it does not retry.
    """

    id: str
    model: str
    environment: str
    target: str
    state: str
    reason: str
    message: str
    next_step: str
    sync: str
    url: str
    wanted: WantedVersion | None
    serving: ServingVersion | None
    predictors: list[Predictor]
    losing: list[Losing]
    paused: Paused | None
    conditions: list[Condition]
    observed_at: str | None
    changed_at: str | None
    retry_at: str | None
    notes: list[str]
    spec: dict[str, SpecField]


class Registry(TypedDict):
    """How well the registry is seen."""

    url: str
    state: str
    reason: str
    message: str
    next_step: str
    listed_at: str | None
    age_seconds: float | None
    models: int
    webhooks: bool


class Deployer(TypedDict):
    """The Deployer itself: its version, its platform, and how many deployments are due."""

    version: str
    platform: str
    queue_depth: int


class Deployments(TypedDict):
    """Deployments, and what the Deployer knows of the registry and of itself."""

    deployments: list[Deployment]
    registry: Registry
    deployer: Deployer


Event = TypedDict(
    "Event",
    {
        "sequence": int,
        "at": str,
        "deployment": str,
        "kind": str,
        "action": str,
        "from": str | None,
        "to": str | None,
        "why": str,
        "who": str,
        "detail": str,
    },
)


class History(TypedDict):
    """Events of a deployment, oldest first."""

    events: list[Event]


class Environment(TypedDict):
    """An environment as platform.yaml has it; `held_by` names another platform that serves it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # all of its settings

    name: str
    stage: str | None
    alias: str | None
    target: str
    namespace: str
    held_by: str | None


class Environments(TypedDict):
    """The environments that this platform serves."""

    environments: list[Environment]


class Page(TypedDict):
    """The metrics endpoint of a model server, and its labels, in Prometheus's `http_sd` format."""

    targets: list[str]
    labels: dict[str, str]


class Accepted(TypedDict):
    """The registry was accepted."""

    accepted: bool


Looking = TypedDict("Looking", {"looking": bool, "for": str})


class Check(TypedDict):
    """One thing that was looked at in a cluster: ok or fail, and the command that fixes it."""

    name: str
    level: str
    message: str
    mend: str


class ClusterChecks(TypedDict):
    """What was looked at in one cluster."""

    name: str
    checks: list[Check]


class Clusters(TypedDict):
    """Every cluster of this platform."""

    clusters: list[ClusterChecks]
