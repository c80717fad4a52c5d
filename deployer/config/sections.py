"""Declare the sections and fields of platform.yaml as pydantic models with defaults."""

from fnmatch import fnmatchcase
from typing import Any, Final, Literal, cast

from pydantic import Field, ValidationInfo, field_serializer, field_validator

from deployer import namespaces, naming
from deployer.config.clusters import Cluster
from deployer.config.environment import Environment
from deployer.config.services import (
    Airflow,
    Api,
    Broker,
    Gateway,
    Local,
    Mlflow,
    PackageIndex,
    Prometheus,
    Rabbitmq,
)
from deployer.errors import SettingsInvalid
from deployer.schema.base import Frozen
from deployer.schema.units import Duration
from deployer.spec.limits import Limits
from deployer.spec.model import ServingSpec


class Registry(Frozen):
    """The watch on the registry."""

    poll: Duration = Field(default=1, ge=0.1, le=3600)
    """The time between polls for changes."""

    listing: Duration = Field(default=30, ge=1, le=86400)
    """The time between full listings."""

    webhooks: Literal["auto", "off"] = "auto"
    """Whether to subscribe to MLflow's webhooks, where it has them."""


class Policy(Frozen):
    """What needs an operator's confirmation, and how a failure is retried."""

    max_retirements: int = Field(default=1, ge=0)
    """Retirements within the window that need no confirmation, for any number of deployments."""

    max_retirement_share: float = Field(default=0.1, ge=0, le=1)
    """The share of all deployments that may retire within the window without confirmation."""

    retire_window: Duration = Field(default=600, gt=0)
    """The time within which retirements are counted together."""

    retry_first: Duration = Field(default=10, gt=0)
    """The pause before the first retry of a transient failure."""

    retry_most: Duration = Field(default=600, gt=0)
    """The longest pause between retries; each is about twice the last."""

    upgrade_share: float = Field(default=0.2, gt=0, le=1)
    """The share of an environment's deployments, and at least one, that are upgraded together."""

    upgrade_order: list[str] = Field(default=[])
    """Environments in the order in which they are upgraded. Unnamed
    environments come after them, production (stage Production or alias champion) last."""

    collect_after: Duration = Field(default=14 * 86400, ge=3600)
    """How long a Python environment that nothing needs stays before it may be removed."""


class PlatformLimits(Limits):
    """The limits of serving specs, and of concurrent work."""

    parallel_rollouts: int = Field(default=4, ge=1)
    """The most rollouts at the same time."""

    parallel_builds: int = Field(default=1, ge=1)
    """The most builds of Python environments at the same time."""

    package_indexes: list[PackageIndex] = Field(default=[])
    """The addresses of package indexes that a model's requirements may name; other indexes in
    requirements are ignored."""


class Models(Frozen):
    """The registered models that the platform manages, by patterns such as "fraud-*"."""

    include: list[str] = Field(default=["*"])
    """A model must match one of these."""

    exclude: list[str] = Field(default=[])
    """And none of these."""

    def serves(self, model: str) -> bool:
        """Check whether the platform serves a registered model; case matters."""
        return any(fnmatchcase(model, pattern) for pattern in self.include) and not any(
            fnmatchcase(model, pattern) for pattern in self.exclude
        )


DEFAULT_ENVIRONMENTS: Final = {
    "staging": {"stage": "Staging", "alias": "staging"},
    "prod": {"stage": "Production", "alias": "champion"},
}
"""The environments of a platform.yaml that names none."""


class PlatformFile(Frozen):
    """platform.yaml: the platform's settings, all of them optional."""

    mlflow: Mlflow = Mlflow()
    """The MLflow tracking server and registry."""

    airflow: Airflow = Airflow()
    """The Airflow that runs the training pipelines."""

    gateway: Gateway = Gateway()
    """The gateway that routes prediction requests."""

    components: list[Literal["rabbitmq"]] = Field(default=[])
    """Components that `schnitzel up` runs only if they are named here, such as [rabbitmq]."""

    rabbitmq: Rabbitmq = Rabbitmq()
    """The RabbitMQ that `schnitzel up` runs if `components` names it."""

    prometheus: Prometheus = Prometheus()
    """The Prometheus that a team's own metrics of a rollout are asked of."""

    local: Local = Local()
    """Where the target `local` runs model servers."""

    brokers: dict[str, Broker] = Field(default={})
    """The RabbitMQ brokers that models with `runtime: queue` may name."""

    deployer: Api = Api()
    """The MLflow Deployer's own API."""

    registry: Registry = Registry()
    """The watch on the registry."""

    clusters: dict[str, Cluster] = Field(default={})
    """The Kubernetes clusters that environments may name."""

    environments: dict[str, Environment] = Field(
        default=cast(dict[str, Environment], DEFAULT_ENVIRONMENTS),
        validate_default=True,  # turns the mappings into Environment objects
        min_length=1,
    )
    """The places that model versions are promoted to. Naming any replaces the default ones."""

    policy: Policy = Policy()
    """What needs an operator's confirmation, and how a failure is retried."""

    limits: PlatformLimits = PlatformLimits()
    """The limits of serving specs, and of concurrent work."""

    defaults: ServingSpec = ServingSpec()
    """Defaults of the serving spec for versions that do not set a field."""

    models: Models = Models()
    """The registered models that the platform manages."""

    @field_validator("brokers")
    @classmethod
    def _broker_names(cls, named: dict[str, Broker]) -> dict[str, Broker]:
        for name in named:
            _check_name(name, "a broker")
        return named

    @field_validator("clusters")
    @classmethod
    def _cluster_names(cls, named: dict[str, Cluster]) -> dict[str, Cluster]:
        for name in named:
            _check_name(name, "a cluster")
        return named

    @field_validator("environments")
    @classmethod
    def _names_and_selectors(cls, named: dict[str, Environment]) -> dict[str, Environment]:
        seen: dict[tuple[str | None, str | None], str] = {}
        for name, environment in named.items():
            _check_name(name, "an environment")
            selector = (environment.stage, environment.alias)
            if selector in seen:
                raise ValueError(
                    f"should differ in stage or alias; {seen[selector]!r} and {name!r} do not"
                )
            seen[selector] = name
        return named

    @field_validator("environments")
    @classmethod
    def _clusters_and_namespaces(
        cls, named: dict[str, Environment], found: ValidationInfo
    ) -> dict[str, Environment]:
        for name, environment in named.items():
            clusters = found.data.get("clusters")  # absent if that section is invalid
            if environment.cluster and clusters is not None and environment.cluster not in clusters:
                known = ", ".join(map(repr, clusters)) or "none"
                raise ValueError(
                    f"should name clusters that there are: {name}.cluster is "
                    f"{environment.cluster!r}, and clusters has {known}"
                )
            try:
                namespaces.check_environment(environment.namespace, name)
            except ValueError as error:
                raise ValueError(f"cannot be: {name} {error}") from error
        return named

    @field_validator("policy")
    @classmethod
    def _environments_there_are(cls, policy: Policy, found: ValidationInfo) -> Policy:
        known = found.data.get("environments", policy.upgrade_order)  # absent if invalid
        foreign = [name for name in policy.upgrade_order if name not in known]
        if foreign:
            raise ValueError(
                f"should name environments that there are: upgrade_order has {foreign[0]!r}, "
                f"and environments has {', '.join(map(repr, known))}"
            )
        return policy

    @field_serializer("defaults")
    def _what_is_set(self, defaults: ServingSpec) -> dict[str, Any]:
        return defaults.model_dump(mode="json", exclude_unset=True)


def _check_name(name: str, kind: str) -> None:
    try:
        naming.validate_environment_name(name)
    except SettingsInvalid as error:
        message = error.message.replace("an environment", kind)
        raise ValueError(f"cannot be: {message} {error.hint}") from error
