"""Declare the section `kubernetes` of serving.yaml as pydantic models.

This module checks the form of a value; `deployer.spec.limits` checks what an operator allows.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from deployer.schema.base import AtomicSection, Frozen
from deployer.schema.units import Duration

_NAME: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_KEY: Final = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", re.ASCII
)
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHARE: Final = re.compile(r"(100|[1-9]?[0-9])%")

_OURS: Final = re.compile(
    r"SCHNITZEL_\w*|LD_\w*|PATH|PYTHON(PATH|HOME|STARTUP|SAFEPATH)|SSL_CERT_(FILE|DIR)",
    re.ASCII | re.IGNORECASE,
)
"""Environment variables that the model server itself needs to start."""

_SECRET: Final = re.compile(
    r"\w*(PASSWORD|PASSWD|SECRET|CREDENTIALS?|(API|ACCESS|PRIVATE)_?KEY)|(\w*_)?TOKEN",
    re.ASCII | re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"//[^/\s@]+:[^/\s@]+@")


def _object_name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise ValueError("should be the name of a Kubernetes object: a-z, 0-9, '-' and '.'")
    return value


ObjectName = Annotated[str, AfterValidator(_object_name), WithJsonSchema({"type": "string"})]
"""The name of an object in a cluster (RFC 1123)."""


class SecretKey(Frozen):
    """A reference to a value in a Kubernetes Secret."""

    secret: ObjectName
    """The Secret's name; `limits.secrets` in platform.yaml says which may be named."""

    key: str = Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")
    """The key in it."""


def _variable(value: object, read: ValidatorFunctionWrapHandler) -> str | SecretKey:
    try:
        found: str | SecretKey = read(value)
    except ValidationError:
        raise ValueError(
            "should be text, or name a key of a Secret: {secret: NAME, key: KEY}"
        ) from None
    return found


Variable = Annotated[str | SecretKey, WrapValidator(_variable)]
"""The value of an environment variable: text, or a reference."""


def _count_or_share(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _SHARE.fullmatch(value):
        return value
    raise ValueError("should be a number of replicas or a share of them such as '50%'")


CountOrShare = Annotated[
    int | str,
    PlainValidator(_count_or_share),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]}
    ),
]
"""A number of replicas, or a percentage of them."""


class Toleration(Frozen):
    """A taint of nodes that replicas tolerate."""

    key: str = ""
    """The taint's key; empty, with operator Exists, for every taint."""

    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal: the taint's value must be the same. Exists: any value matches."""

    value: str = ""
    """The taint's value."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; null for all."""

    seconds: Duration | None = Field(default=None, le=86400)
    """For NoExecute: how long a replica may stay once a node has the taint; null: for ever."""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("should have no value with operator Exists")
        if self.operator == "Equal" and not self.key:
            raise ValueError("should have a key, or operator Exists")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ValueError("should have seconds only with effect NoExecute")
        return self


class DisruptionBudget(AtomicSection):
    """How many replicas a voluntary disruption, such as a node drain, may evict. One of the two."""

    min_available: CountOrShare | None = None
    """The replicas that stay available: a number, or a share such as "50%"."""

    max_unavailable: CountOrShare | None = None
    """The replicas that may be unavailable: a number, or a share such as "50%"."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.min_available is None) == (self.max_unavailable is None):
            raise ValueError("should have either min_available or max_unavailable")
        return self


class Probes(Frozen):
    """The probes of a replica."""

    startup_seconds: Duration | None = Field(default=None, ge=10, le=86400)
    """How long a model may load before its container is restarted. Null: as rollout allows."""


class Kubernetes(Frozen):
    """The scheduling and the pods of replicas on a cluster; other targets ignore this section."""

    node_selector: dict[str, str] = Field(default={}, max_length=20)
    """Labels that a node must have; `limits.node_selector` must allow them."""

    tolerations: list[Toleration] = Field(default=[], max_length=20)
    """Taints of nodes that replicas tolerate; `limits.tolerations` must allow them."""

    spread: Literal["hostname", "zone"] | None = None
    """Spread replicas over nodes or zones where there is room; null: no preference."""

    disruption_budget: DisruptionBudget | None = None
    """The PodDisruptionBudget; null: none."""

    env: dict[str, Variable] = Field(default={}, max_length=100)
    """Variables of the model's process: text, or {secret: NAME, key: KEY}."""

    grace: Duration | None = Field(default=None, ge=1, le=3600)
    """The termination grace period, such as "2m". Null: long enough to drain and answer."""

    annotations: dict[str, str] = Field(default={}, max_length=50)
    """Annotations of the pods; `limits.annotations` must allow them."""

    pull_secrets: list[ObjectName] = Field(default=[], max_length=10)
    """Secrets to pull the image with; `limits.pull_secrets` must allow them."""

    service_account: ObjectName | None = None
    """The ServiceAccount of the pods, one of `limits.service_accounts`. Null: the default."""

    probes: Probes = Probes()
    """The probes of a replica."""

    @field_validator("node_selector")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        _check_keys(labels)
        for key, value in labels.items():
            if not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f"{key} should be a label's value: at most 63 letters and digits")
        return labels

    @field_validator("annotations")
    @classmethod
    def _not_ours(cls, annotations: dict[str, str]) -> dict[str, str]:
        _check_keys(annotations)
        for key in annotations:
            if key.partition("/")[0].endswith("schnitzel.dev"):
                raise ValueError(f"{key} is Schnitzel's own")
        return annotations

    @field_validator("env")
    @classmethod
    def _no_secret_in_the_open(cls, env: dict[str, Any]) -> dict[str, Any]:
        for name, value in env.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name} cannot be the name of a variable: A-Z, 0-9 and '_'")
            if _OURS.fullmatch(name):
                raise ValueError(f"{name} is set by Schnitzel itself")
            if isinstance(value, str) and (_SECRET.fullmatch(name) or _LOGIN.search(value)):
                raise ValueError(
                    f"{name} looks like a secret; name a key of a Kubernetes Secret instead: "
                    "{secret: NAME, key: KEY}"
                )
        return env


def _check_keys(mapping: Mapping[str, str]) -> None:
    for key in mapping:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key} cannot be a key; one is such as 'disk' or 'example.com/disk'")
