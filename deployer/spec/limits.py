"""Check a serving spec against an operator's limits.

Limits on numbers hold for every layer. Fields that name an object of the cluster (a secret, an
image, a node) are allowed by lists of patterns, empty by default; the lists do not hold for the
operator's own layers.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, NoReturn

from pydantic import Field

from deployer.errors import SpecInvalid
from deployer.schema.base import Frozen
from deployer.schema.units import Bytes, Cores, Duration, format_duration, format_quantity
from deployer.spec.minimum import RolloutLimits, hold_rollout
from deployer.spec.model import ServingSpec
from deployer.spec.pods import CountOrShare, SecretKey, Toleration
from deployer.spec.runtimes import Runtime

_SELDONS: Final = re.compile(
    r"(PREDICTIVE_UNIT_|PREDICTOR_|MLSERVER_|SELDON_)\w*|TEMPO_RUNTIME_OPTIONS"
)
"""Environment variables that Seldon's operator sets."""

DEFAULTS_ORIGIN: Final = "platform.yaml: defaults"
"""The name of the layer with an operator's defaults."""

OVERLAY_ORIGIN: Final = "environment "
"""The prefix of the name of an environment's overlay."""

OPERATORS: Final = ("platform.yaml", OVERLAY_ORIGIN)
"""The prefixes of the names of an operator's layers."""


class Limits(Frozen):
    """The limits of every layer of a serving spec. Null: no limit."""

    pods: ClassVar[bool] = True
    """Whether the limits on fields that only a cluster uses apply."""

    runtimes: list[Runtime] = Field(default=["mlflow", "seldon", "tfserving", "queue"])
    """The allowed runtimes."""

    replicas: int | None = Field(default=16, ge=1)
    """The most replicas, also with autoscaling."""

    cpu: Cores | None = Field(default=None, gt=0)
    """The most cores of one replica; also the cores of a replica that requests none."""

    memory: Bytes | None = Field(default=None, ge=16 * 1024**2)
    """The most memory of one replica; also the memory of a replica that requests none."""

    gpu: int | None = Field(default=0, ge=0)
    """The most GPUs of one replica on a cluster."""

    max_body: Bytes | None = Field(default=1024**3, ge=1024)
    """The largest request body."""

    timeout_seconds: Duration | None = Field(default=None, gt=0)
    """The longest time limit of a request."""

    ready_timeout: Duration | None = Field(default=3600, gt=0)
    """The longest time that a version may take to load."""

    secrets: list[str] = Field(default=[])
    """Secrets that a version's environment variables may name: patterns such as "team-a-*"."""

    pull_secrets: list[str] = Field(default=[])
    """Pull secrets that a version may name: patterns."""

    service_accounts: list[str] = Field(default=[])
    """ServiceAccounts that a version may name: patterns."""

    images: list[str] = Field(default=[])
    """Images that a version may name: patterns such as "registry.example/team-a/*"."""

    node_selector: list[str] = Field(default=[])
    """Node labels that a version may require: patterns of KEY or KEY=VALUE."""

    tolerations: list[str] = Field(default=[])
    """Taints that a version may tolerate: patterns of KEY or KEY=VALUE; "*" for any at all."""

    annotations: list[str] = Field(default=[])
    """Pod annotations that a version may set: patterns of KEY or KEY=VALUE."""

    rollout: RolloutLimits = RolloutLimits()
    """What every rollout has to do at least; an environment may say otherwise."""


class LocalLimits(Limits):
    """The limits on this machine, where the fields for clusters have no effect."""

    pods: ClassVar[bool] = False


def hold(
    spec: ServingSpec, limits: Limits, origins: Mapping[str, str], *, whole: bool = True
) -> None:
    """Check a spec against the limits.

    Args:
        spec: the merged layers.
        limits: the operator's limits.
        origins: dotted field -> the layer that set it.
        whole: whether all layers are merged, so that fields can be checked against one another.

    Raises:
        SpecInvalid: names the layer, the field, its value, the limit and who can change it.
    """
    _hold_numbers(spec, limits, origins)
    if whole:
        hold_rollout(spec, limits.rollout, origins)
    if limits.pods:
        _hold_lists(spec, limits, origins)
        if whole:
            _hold_together(spec, origins)
    if whole and spec.autoscaling and spec.autoscaling.messages and spec.runtime != "queue":
        raise SpecInvalid(
            f"{origins['autoscaling.messages']}: autoscaling.messages is "
            f"{spec.autoscaling.messages}, and the runtime is {spec.runtime}, which has no queue.",
            "Scale by cpu_percent, or set `runtime: queue`.",
        )


def _hold_numbers(spec: ServingSpec, limits: Limits, origins: Mapping[str, str]) -> None:
    if spec.runtime not in limits.runtimes:
        _refuse_word("runtime", spec.runtime, "runtimes", limits.runtimes, origins)
    scaling = spec.autoscaling
    checks: tuple[tuple[str, float | None, str, Callable[[Any], str]], ...] = (
        ("replicas", spec.replicas, "replicas", str),
        ("autoscaling.max", scaling.max if scaling else None, "replicas", str),
        ("resources.cpu", spec.resources.cpu, "cpu", "{:g}".format),
        ("resources.memory", spec.resources.memory, "memory", format_quantity),
        ("resources.gpu", spec.resources.gpu if limits.pods else None, "gpu", str),
        ("max_body", spec.max_body, "max_body", format_quantity),
        ("timeout_seconds", spec.timeout_seconds, "timeout_seconds", format_duration),
        ("rollout.ready_timeout", spec.rollout.ready_timeout, "ready_timeout", format_duration),
        (
            "kubernetes.probes.startup_seconds",
            spec.kubernetes.probes.startup_seconds if limits.pods else None,
            "ready_timeout",
            format_duration,
        ),
    )
    for name, value, limit, text in checks:
        most = getattr(limits, limit)
        if value is not None and most is not None and value > most:
            raise SpecInvalid(
                f"{origins[name]}: {name} is {text(value)}, but limits.{limit} is {text(most)}.",
                f"Change it in {origins[name]}, or ask an operator to raise limits.{limit} in "
                "platform.yaml.",
            )


def _hold_lists(spec: ServingSpec, limits: Limits, origins: Mapping[str, str]) -> None:
    for name, values, limit in _named(spec):
        allowed: list[str] = getattr(limits, limit)
        operators = origins[name].startswith(OPERATORS)
        if operators or any(fnmatchcase(each, pattern) for each in values for pattern in allowed):
            continue
        value = repr(values[-1]) if values[-1] else "every taint"
        _refuse_word(name, value, limit, allowed, origins)


def _named(spec: ServingSpec) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Iterate over fields with the forms of the value that a pattern may match, and the limit.

    The full form comes last.
    """
    pods = spec.kubernetes
    if spec.image:
        yield "image", (spec.image,), "images"
    if pods.service_account:
        yield "kubernetes.service_account", (pods.service_account,), "service_accounts"
    for name, value in pods.env.items():
        if isinstance(value, SecretKey):
            yield f"kubernetes.env.{name}.secret", (value.secret,), "secrets"
    for secret in pods.pull_secrets:
        yield "kubernetes.pull_secrets", (secret,), "pull_secrets"
    for key, text in pods.node_selector.items():
        yield f"kubernetes.node_selector.{key}", (key, f"{key}={text}"), "node_selector"
    for key, text in pods.annotations.items():
        yield f"kubernetes.annotations.{key}", (key, f"{key}={text}"), "annotations"
    for toleration in pods.tolerations:
        yield "kubernetes.tolerations", _forms(toleration), "tolerations"


def _forms(toleration: Toleration) -> tuple[str, ...]:
    if toleration.operator == "Exists":
        return (toleration.key,)
    return toleration.key, f"{toleration.key}={toleration.value}"


def _hold_together(spec: ServingSpec, origins: Mapping[str, str]) -> None:
    """Check fields against one another, which needs a whole spec."""
    pods, scaling = spec.kubernetes, spec.autoscaling
    if spec.runtime == "seldon":
        _fit_seldon(spec, origins)
    if scaling and scaling.messages is None and spec.resources.cpu is None:
        raise SpecInvalid(
            f"{origins['autoscaling.max']}: autoscaling needs resources.cpu, since it goes by the "
            "share of it that is used.",
            "Set resources.cpu beside it.",
        )
    if pods.grace is not None and pods.grace < spec.rollout.drain:
        raise SpecInvalid(
            f"{origins['kubernetes.grace']}: kubernetes.grace is {format_duration(pods.grace)}, "
            f"less than rollout.drain, {format_duration(spec.rollout.drain)}: requests would be "
            "lost.",
            "Raise kubernetes.grace, or leave it out.",
        )
    budget = pods.disruption_budget
    if budget:
        fewest = scaling.min if scaling else spec.replicas
        if budget.min_available is not None:
            field, goes = "min_available", fewest - _count(budget.min_available, fewest)
        else:
            field, goes = "max_unavailable", _count(budget.max_unavailable or 0, fewest)
        if goes < 1:
            name = f"kubernetes.disruption_budget.{field}"
            value = getattr(budget, field)
            raise SpecInvalid(
                f"{origins[name]}: {name} is {value}, which lets none of {fewest} go: no node "
                "that it runs on could ever be drained.",
                "Let one go, or ask for more replicas.",
            )


def _fit_seldon(spec: ServingSpec, origins: Mapping[str, str]) -> None:
    if spec.autoscaling:
        raise SpecInvalid(
            f"{origins['autoscaling.max']}: autoscaling is not for the runtime seldon, whose "
            "operator sets the number of replicas itself.",
            "Say replicas, or ask for another runtime.",
        )
    for name in filter(_SELDONS.fullmatch, spec.kubernetes.env):
        raise SpecInvalid(
            f"{name} in kubernetes.env is a variable of Seldon's operator, which takes all others "
            "away where one of its own is set.",
            "Give it another name, or ask for another runtime.",
        )


def _count(value: CountOrShare, replicas: int) -> int:
    # A share is rounded up, for both fields: kubernetes.io, "Specifying a PodDisruptionBudget".
    if isinstance(value, int):
        return value
    return math.ceil(int(value.removesuffix("%")) * replicas / 100)


def _refuse_word(
    name: str, value: str, limit: str, allowed: Sequence[str], origins: Mapping[str, str]
) -> NoReturn:
    raise SpecInvalid(
        f"{origins[name]}: {name} is {value}, but limits.{limit} allows "
        f"{', '.join(allowed) or 'none'}.",
        f"Change it in {origins[name]}, or ask an operator to allow it by limits.{limit} in "
        "platform.yaml.",
    )
