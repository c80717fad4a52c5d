"""Declare the sections of serving.yaml for the runtimes other than our own server."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from deployer.schema.base import Frozen

Runtime = Literal["mlflow", "seldon", "tfserving", "queue"]


def _inside(value: str) -> str:
    parts = value.split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", part) for part in parts):
        raise ValueError("should be a folder inside the logged model, such as saved_model")
    return value


Inside = Annotated[str, AfterValidator(_inside)]
"""A folder inside the logged model: no "..", no absolute path."""

Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,62}$")]
"""A version label of TensorFlow Serving."""


class TfServingBatching(Frozen):
    """Batching in TensorFlow Serving, if `batching.enabled`."""

    timeout_micros: int = Field(default=0, ge=0, le=10_000_000)
    """How long a batch may wait for another request, in microseconds; 0: not at all."""

    max_request_rows: int = Field(default=100_000, ge=1)
    """The most rows of one request; more than `batching.max_rows` are computed in pieces."""

    max_enqueued_batches: int = Field(default=100, ge=1)
    """How many batches may wait; further requests are refused with 503."""

    threads: int | None = Field(default=None, ge=1)
    """How many batches are computed at the same time; null: one for each core."""

    allowed_sizes: list[int] = Field(default=[])
    """Sizes to which batches are padded, rising; the last is `batching.max_rows`."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        sizes = self.allowed_sizes
        if sizes != sorted(set(sizes)) or (sizes and sizes[0] < 1):
            raise ValueError("should have allowed_sizes that rise from at least 1")
        return self


class Seldon(Frozen):
    """The settings of Seldon Core; used with `runtime: seldon` only."""

    shape: Literal["server", "named", "tensorflow", "microservice"] = "server"
    """server: our server as the container. named: our server, by a name that the operator knows.
    tensorflow: TensorFlow Serving, by TENSORFLOW_SERVER. microservice: Seldon's own server, before
    ours."""


class TfServing(Frozen):
    """The settings of TensorFlow Serving, also of Seldon's shape tensorflow."""

    saved_model: Inside = "saved_model"
    """The folder of the SavedModel, inside the logged model."""

    labels: list[Label] = Field(default=[])
    """Labels that the version has in TensorFlow Serving; empty: the environment's name."""

    batching: TfServingBatching = TfServingBatching()
    """Batching in TensorFlow Serving."""
