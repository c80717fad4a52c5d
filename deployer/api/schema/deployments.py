"""Declare the API's answers about deployments, registry, environments and clusters.

FastAPI derives the OpenAPI schema from them. The command line knows the Deployer by that schema
alone; tests/contract/openapi.json pins it.
Times are ISO 8601 in UTC, versions are text as in MLflow, weights are percent.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from deployer.api.schema import rollouts


class WantedVersion(TypedDict):
    """The promoted version, the stage or alias that promotes it, and since when."""

    version: str
    via: str
    since: str | None


class ServingVersion(TypedDict):
    """The version that serves."""

    version: str


class Predictor(TypedDict):
    """One version being served: its phase, and its live share of the traffic.

    `replicas` are desired, of which `replicas_ready` answer, as last observed.
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
    """A promoted version that does not serve, because another was promoted later, and why.

    `touched_at` is its last update in its stage since then, which promotes nothing.
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
    """A condition in the form of Kubernetes: Ready, Progressing, Degraded or InSync."""

    type: Literal["Ready", "Progressing", "Degraded", "InSync"]
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class SpecField(TypedDict):
    """A field of the serving spec, and the layer that sets it."""

    value: Any
    origin: str


class Deployment(TypedDict):
    """The status of one registered model in one environment.

    `notes` name requests of its serving spec that have no effect, or a side effect.
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
    rollout: rollouts.Rollout | None
    conditions: list[Condition]
    observed_at: str | None
    changed_at: str | None
    retry_at: str | None
    notes: list[str]
    spec: dict[str, SpecField]


class Registry(TypedDict):
    """The health of the registry."""

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
    """Deployments, the health of the registry, and the Deployer's own state."""

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
    """The result of a check of a cluster: ok or fail, and the command that fixes a failure."""

    name: str
    level: str
    message: str
    mend: str


class ClusterChecks(TypedDict):
    """The checks of one cluster."""

    name: str
    checks: list[Check]


class Clusters(TypedDict):
    """The checks of every cluster of this platform."""

    clusters: list[ClusterChecks]
