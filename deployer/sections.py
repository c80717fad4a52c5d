"""Nothing in; out: the sections and fields of platform.yaml, as pydantic models with defaults."""

import re
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, Self, cast

from pydantic import Field, field_serializer, field_validator, model_validator

from deployer import naming
from deployer.errors import SettingsInvalid
from deployer.services import Airflow, Api, Gateway, Mlflow
from deployer.specmodel import Frozen, Limits, ServingSpec
from deployer.units import Duration


class Registry(Frozen):
    """How the registry is watched."""

    poll: Duration = Field(default=1, ge=0.1, le=3600)
    """How often to ask for what changed."""

    listing: Duration = Field(default=30, ge=1, le=86400)
    """How often to list everything."""

    webhooks: Literal["auto", "off"] = "auto"
    """Whether to have MLflow call us on a change, where it can."""


class Waiting(Frozen):
    """How long an environment waits for evidence."""

    retire_after: Duration = Field(default=600, le=30 * 86400)
    """How long nothing must be promoted before what serves is retired."""

    retire_listings: int = Field(default=2, ge=1, le=1000)
    """How many complete listings must say so as well."""


class Environment(Frozen):
    """A place that model versions are promoted to. It needs a stage, an alias, or both."""

    stage: Literal["Staging", "Production"] | None = None
    """The MLflow stage that promotes to it."""

    alias: str | None = Field(default=None, pattern=r"^[\w-]+$", max_length=256)
    """The MLflow alias that promotes to it."""

    target: Literal["local"] = "local"
    """Where its deployments run: local, as processes on this machine."""

    namespace: str = "{environment}"
    """Where a cluster keeps them; {environment} and {project} are filled in."""

    policy: Waiting = Waiting()
    """How long it waits for evidence."""

    overlay: ServingSpec = ServingSpec()
    """Fields of the serving spec that win over a version's own serving.yaml."""

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
        filled = namespace.replace("{environment}", "e").replace("{project}", "p")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", filled):
            raise ValueError("should be of a-z, 0-9, '-', {environment} and {project}")
        return namespace

    @model_validator(mode="after")
    def _has_a_selector(self) -> Self:
        if not self.stage and not self.alias:
            raise ValueError("needs a stage or an alias, else nothing can be promoted to it")
        return self

    @field_serializer("overlay")
    def _what_is_set(self, overlay: ServingSpec) -> dict[str, Any]:
        return overlay.model_dump(mode="json", exclude_unset=True)


class Policy(Frozen):
    """What needs a person's word, and how a failure is tried again."""

    max_retirements: int = Field(default=1, ge=0)
    """Retirements within the window that need nobody's word, however few deployments there are."""

    max_retirement_share: float = Field(default=0.1, ge=0, le=1)
    """The share of all deployments that may retire within the window without a person's word."""

    retire_window: Duration = Field(default=600, gt=0)
    """The time within which retirements are counted together."""

    retry_first: Duration = Field(default=10, gt=0)
    """How long to wait before a failure of a passing cause is tried again, the first time."""

    retry_most: Duration = Field(default=600, gt=0)
    """The longest such wait; each is about twice the last."""


class PlatformLimits(Limits):
    """What no serving spec may pass, and how much is done at the same time."""

    parallel_rollouts: int = Field(default=4, ge=1)
    """Rollouts under way at the same time."""

    parallel_builds: int = Field(default=1, ge=1)
    """Environments being built at the same time."""


class Models(Frozen):
    """Which registered models are looked after: patterns such as "fraud-*"."""

    include: list[str] = Field(default=["*"])
    """A model must match one of these."""

    exclude: list[str] = Field(default=[])
    """And none of these."""

    def serves(self, model: str) -> bool:
        """Whether a registered model is one of those looked after. Upper and lower case differ."""
        return any(fnmatchcase(model, pattern) for pattern in self.include) and not any(
            fnmatchcase(model, pattern) for pattern in self.exclude
        )


DEFAULT_ENVIRONMENTS: Final = {
    "staging": {"stage": "Staging", "alias": "staging"},
    "prod": {"stage": "Production", "alias": "champion"},
}
"""What a platform.yaml that names no environments means."""


class PlatformFile(Frozen):
    """platform.yaml: the platform's settings. All is optional."""

    mlflow: Mlflow = Mlflow()
    """The MLflow tracking server and registry."""

    airflow: Airflow = Airflow()
    """The Airflow that runs the training pipelines."""

    gateway: Gateway = Gateway()
    """The gateway that predictions are asked of."""

    deployer: Api = Api()
    """The MLflow Deployer's own API."""

    registry: Registry = Registry()
    """How the registry is watched."""

    environments: dict[str, Environment] = Field(
        default=cast(dict[str, Environment], DEFAULT_ENVIRONMENTS),
        validate_default=True,  # which makes them so
        min_length=1,
    )
    """The places that model versions are promoted to. Naming any replaces the default ones."""

    policy: Policy = Policy()
    """What needs a person's word, and how a failure is tried again."""

    limits: PlatformLimits = PlatformLimits()
    """What no serving spec may pass, and how much is done at the same time."""

    defaults: ServingSpec = ServingSpec()
    """Fields of the serving spec for versions that do not say otherwise."""

    models: Models = Models()
    """Which registered models are looked after."""

    @field_validator("environments")
    @classmethod
    def _names_and_selectors(cls, named: dict[str, Environment]) -> dict[str, Environment]:
        seen: dict[tuple[str | None, str | None], str] = {}
        for name, environment in named.items():
            try:
                naming.validate_environment_name(name)
            except SettingsInvalid as error:
                raise ValueError(f"cannot be: {error.message} {error.hint}") from error
            selector = (environment.stage, environment.alias)
            if selector in seen:
                raise ValueError(
                    f"should differ in stage or alias; {seen[selector]!r} and {name!r} do not"
                )
            seen[selector] = name
        return named

    @field_serializer("defaults")
    def _what_is_set(self, defaults: ServingSpec) -> dict[str, Any]:
        return defaults.model_dump(mode="json", exclude_unset=True)
