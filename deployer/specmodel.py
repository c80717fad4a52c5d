"""Nothing in; out: the fields of serving.yaml and of an operator's limits, as pydantic models."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deployer.units import Bytes, Cores, Duration

Runtime = Literal["mlflow", "seldon", "tfserving", "queue"]


class Frozen(BaseModel):
    """A value that refuses unknown fields; its fields' docstrings are their descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Resources(Frozen):
    """What one replica may use."""

    cpu: Cores | None = Field(default=None, gt=0)
    """Cores of one replica, such as 2, 0.5 or "500m"; null for as many as there are."""

    memory: Bytes | None = Field(default=None, ge=16 * 1024**2)
    """Memory of one replica, such as "2Gi"; a model that takes more is stopped. Null: no bound."""


class Rollout(Frozen):
    """How a new version takes over."""

    steps: list[int] = Field(default=[100], min_length=1, max_length=20)
    """Shares of the traffic, in percent, that the new version gets in turn; the last is 100."""

    step_seconds: Duration = Field(default=0, le=86400)
    """How long a share is kept before the next: seconds, or a duration such as "5m"."""

    ready_timeout: Duration = Field(default=300, gt=0, le=86400)
    """How long a new version may take to load before it counts as failed, such as "5m"."""

    drain: Duration = Field(default=5, le=3600)
    """How long an old version may finish its requests once no new one reaches it, such as "5s"."""

    example: Literal["required", "skip"] = "required"
    """Whether a version must answer its own logged input example before it gets traffic."""

    @field_validator("steps")
    @classmethod
    def _steps_rise_to_100(cls, steps: list[int]) -> list[int]:
        if steps != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
            raise ValueError("should rise from at least 1 to a last step of 100")
        return steps


class Batching(Frozen):
    """Whether requests that arrive together are predicted together."""

    enabled: bool = True
    """Whether to join requests. Turn off for a model whose rows influence one another."""

    max_rows: int = Field(default=256, ge=1, le=1_000_000)
    """Rows in one batch, at most."""


class ServingSpec(Frozen):
    """serving.yaml: what to serve a model version with. It is logged beside the model, or not."""

    runtime: Runtime = "mlflow"
    """What serves it: mlflow (Schnitzel's own model server), seldon, tfserving or queue."""

    replicas: int = Field(default=1, ge=1, le=1000)
    """How many copies serve at the same time."""

    resources: Resources = Resources()
    """What one replica may use."""

    rollout: Rollout = Rollout()
    """How a new version takes over."""

    batching: Batching = Batching()
    """Whether requests that arrive together are predicted together."""

    timeout_seconds: Duration = Field(default=60, gt=0, le=3600)
    """How long one request may take: seconds, or a duration such as "2m"."""

    max_body: Bytes = Field(default=16 * 1024**2, ge=1024)
    """How large a request may be, such as "16Mi"."""


class Limits(Frozen):
    """What no layer of a serving spec may pass. Null: no limit."""

    runtimes: list[Runtime] = ["mlflow"]
    """The runtimes that may be asked for."""

    replicas: int | None = Field(default=16, ge=1)
    """The most replicas."""

    cpu: Cores | None = Field(default=None, gt=0)
    """The most cores of one replica, which is also what one gets that asks for no number."""

    memory: Bytes | None = Field(default=None, ge=16 * 1024**2)
    """The most memory of one replica, which is also what one gets that asks for no amount."""

    max_body: Bytes | None = Field(default=1024**3, ge=1024)
    """The largest request."""

    timeout_seconds: Duration | None = Field(default=None, gt=0)
    """The longest time that one request may take."""

    ready_timeout: Duration | None = Field(default=3600, gt=0)
    """The longest time that a version may take to load."""
