"""Declare an environment of platform.yaml as a pydantic model."""

import re
from typing import Any, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from deployer import namespaces
from deployer.schema.base import Frozen
from deployer.schema.units import Duration
from deployer.spec.minimum import EnvironmentLimits
from deployer.spec.model import ServingSpec


class Waiting(Frozen):
    """The evidence that an environment requires before it retires a champion."""

    retire_after: Duration = Field(default=600, le=30 * 86400)
    """How long nothing must be promoted before the champion is retired."""

    retire_listings: int = Field(default=2, ge=1, le=1000)
    """How many complete listings must confirm that."""


class Environment(Frozen):
    """A place that model versions are promoted to. It needs a stage, an alias, or both."""

    stage: Literal["Staging", "Production"] | None = None
    """The MLflow stage that promotes to it."""

    alias: str | None = Field(default=None, pattern=r"^[\w-]+$", max_length=256)
    """The MLflow alias that promotes to it."""

    target: Literal["local", "kubernetes"] = "local"
    """Where deployments run: local, as processes on this machine, or kubernetes."""

    cluster: str | None = None
    """The cluster (one of `clusters`), with target kubernetes."""

    namespace: str = "{environment}"
    """The namespace template in the cluster, with {environment} and {project}."""

    drift: Literal["correct", "report", "ignore"] = "correct"
    """On a cluster, how to handle drift: a field of ours that another writer changed."""

    drift_ignore: list[str] = Field(default=[])
    """JSON pointers to fields whose drift is ignored: "/spec/replicas"."""

    policy: Waiting = Waiting()
    """The evidence required before a champion is retired."""

    limits: EnvironmentLimits = EnvironmentLimits()
    """What every version has to respect here, in place of what the platform's limits say of it."""

    overlay: ServingSpec = ServingSpec()
    """Fields of the serving spec that override a version's own serving.yaml."""

    @field_validator("stage", mode="before")
    @classmethod
    def _as_mlflow_writes_it(cls, stage: object) -> object:
        return stage.capitalize() if isinstance(stage, str) else stage

    @field_validator("alias")
    @classmethod
    def _not_reserved(cls, alias: str | None) -> str | None:
        # As in mlflow.utils.validation._validate_model_alias_name_reserved.
        if alias is not None and (alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias)):
            raise ValueError("should be another alias: MLflow reserves 'latest' and 'v1', 'v2'...")
        return alias

    @field_validator("namespace")
    @classmethod
    def _known_placeholders(cls, namespace: str) -> str:
        namespaces.check_template(namespace)
        return namespace

    @field_validator("drift_ignore")
    @classmethod
    def _pointers(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if not re.fullmatch(r"(/([^~/]|~[01])+)+", path):
                raise ValueError(f"should be JSON pointers such as '/spec/replicas', not {path!r}")
        return paths

    @model_validator(mode="after")
    def _has_a_selector(self) -> Self:
        if not self.stage and not self.alias:
            raise ValueError("needs a stage or an alias, else nothing can be promoted to it")
        return self

    @model_validator(mode="after")
    def _has_a_cluster(self) -> Self:
        if self.target == "kubernetes" and self.cluster is None:
            raise ValueError("needs a cluster, since its target is kubernetes")
        if self.target != "kubernetes" and self.cluster is not None:
            raise ValueError(f"has a cluster, but its target is {self.target}")
        return self

    @field_serializer("overlay")
    def _what_is_set(self, overlay: ServingSpec) -> dict[str, Any]:
        return overlay.model_dump(mode="json", exclude_unset=True)
