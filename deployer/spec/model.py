"""Declare the fields of serving.yaml as pydantic models.

A default never changes, and a new field's default keeps the behaviour from before the field: a
spec's digest covers the fields that differ from their defaults
(`deployer.spec.resolve.spec_digest`). A predictor on record lacks a field that is newer than its
release, so that code which reads `Predictor.spec` gives the default.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from deployer.schema.base import AtomicSection, Frozen
from deployer.schema.units import Bytes, Cores, Duration
from deployer.spec.pods import Kubernetes
from deployer.spec.queue import Queue
from deployer.spec.rollout import Analysis, Rollout
from deployer.spec.runtimes import Runtime, Seldon, TfServing


def _image(value: str) -> str:
    # The grammar is that of distribution/reference; a tag or a digest is required, so that the
    # reference stays the same image.
    host = r"[A-Za-z0-9.-]+(:[0-9]+)?/"
    path = r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    tag = r"(:(?!latest$)\w[\w.-]{0,127})"
    digest = r"(@sha256:[0-9a-f]{64})"
    if not re.fullmatch(rf"({host})?{path}({tag}{digest}?|{digest})", value):
        raise ValueError(
            "should be an image by its tag (other than 'latest') or digest, "
            "such as 'registry.example/team/model:1.2'"
        )
    return value


Image = Annotated[str, AfterValidator(_image)]
"""A container image by tag or digest."""


class Autoscaling(AtomicSection):
    """The number of replicas, by their load."""

    min: int = Field(default=1, ge=0, le=1000)
    """The fewest replicas; 0 with `runtime: queue` alone."""

    max: int = Field(ge=1, le=1000)
    """The most replicas."""

    cpu_percent: int = Field(default=70, ge=1, le=100)
    """The target use of resources.cpu, in percent, averaged over the replicas."""

    messages: int | None = Field(default=None, ge=1, le=1_000_000)
    """With `runtime: queue`, how many messages, waiting or in flight, one replica is for; null:
    replicas go by cpu_percent."""

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.min == 0 and self.messages is None:
            raise ValueError("should have a min of at least 1, or `messages` to scale by")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"should have a max of at least its min, {self.min}")
        return self


class Resources(Frozen):
    """The resources of one replica."""

    cpu: Cores | None = Field(default=None, gt=0)
    """Cores of one replica, such as 2, 0.5 or "500m"; null: no limit."""

    memory: Bytes | None = Field(default=None, ge=16 * 1024**2)
    """Memory of one replica, such as "2Gi"; a model that takes more is killed. Null: no limit."""

    gpu: int = Field(default=0, ge=0, le=64)
    """GPUs of one replica."""


class Batching(Frozen):
    """Batching of requests that arrive together."""

    enabled: bool = True
    """Whether requests may share a call, once the model has shown that this changes no answer."""

    max_rows: int = Field(default=256, ge=1, le=1_000_000)
    """The most rows of a batch."""


class ServingSpec(Frozen):
    """serving.yaml: how to serve a model version. The file, logged with the model, is optional."""

    runtime: Runtime = "mlflow"
    """The runtime: mlflow (Schnitzel's own model server), seldon, tfserving, or queue (our model
    server, which also answers the messages of a queue)."""

    replicas: int = Field(default=1, ge=1, le=1000)
    """The number of replicas."""

    autoscaling: Autoscaling | None = None
    """Autoscaling by load, instead of `replicas`; null: none."""

    resources: Resources = Resources()
    """The resources of one replica."""

    rollout: Rollout = Rollout()
    """The rollout of a new version."""

    analysis: Analysis = Analysis()
    """How a new version is judged while it shares the traffic."""

    batching: Batching = Batching()
    """Batching of requests that arrive together."""

    timeout_seconds: Duration = Field(default=60, gt=0, le=3600)
    """The time limit of one request: seconds, or a duration such as "2m"."""

    max_body: Bytes = Field(default=16 * 1024**2, ge=1024)
    """The largest request body, such as "16Mi"."""

    input: Literal["strict", "mlflow"] = "strict"
    """How a request's values are read: strict (right, or refused with the column's name), or as
    mlflow's own scoring server reads them."""

    image: Image | None = None
    """The image to serve it with on a cluster, one of `limits.images`. Null: one is built."""

    tfserving: TfServing = TfServing()
    """The settings of TensorFlow Serving, with `runtime: tfserving`."""

    seldon: Seldon = Seldon()
    """The settings of Seldon Core, with `runtime: seldon`."""

    queue: Queue = Queue()
    """The queues of RabbitMQ, with `runtime: queue`."""

    kubernetes: Kubernetes = Kubernetes()
    """The scheduling and the pods of replicas on a cluster."""

    @property
    def is_scaled_by_messages(self) -> bool:
        """Whether the number of replicas follows the messages of the queue."""
        return self.autoscaling is not None and self.autoscaling.messages is not None

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Self:
        if self.autoscaling and self.replicas != 1:
            raise ValueError("should have either replicas or autoscaling, not both")
        return self
