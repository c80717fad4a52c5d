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
    rollout: Rollout | None
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
