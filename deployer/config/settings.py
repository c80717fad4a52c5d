"""Load the settings of a platform from platform.yaml and SCHNITZEL_* variables.

A variable wins over the file, and the file over the defaults; each setting keeps its origin.
SCHNITZEL_<SECTION>__<FIELD> sets one field: SCHNITZEL_MLFLOW__PORT=5001,
SCHNITZEL_ENVIRONMENTS__PROD__ALIAS=live.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deployer import namespaces
from deployer.config import read
from deployer.config.platform_id import platform_id
from deployer.config.sections import PlatformFile
from deployer.config.services import Broker
from deployer.errors import SchnitzelError, SettingsInvalid, SpecInvalid
from deployer.spec.limits import DEFAULTS_ORIGIN, OVERLAY_ORIGIN, Limits, LocalLimits
from deployer.spec.queue import QueueRules, Users
from deployer.spec.resolve import resolve
from deployer.state import deployment
from deployer.state.registry import Selector
from stack.paths import Layout, cache, home


class Settings(PlatformFile):
    """platform.yaml with the variables applied, and where this platform lives."""

    home: Path
    """The platform's state."""

    cache: Path
    """What can be fetched or built again."""

    platform_id: str
    """Names this platform on everything that it makes; made once."""

    origins: dict[str, str]
    """Dotted field -> "default", the file's name, or the variable's."""

    def layers(self, environment: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the operator's layers of the serving spec: the defaults, then the overlay."""
        overlay = self.environments[environment].overlay
        return [
            (DEFAULTS_ORIGIN, self.defaults.model_dump(exclude_unset=True)),
            (f"{OVERLAY_ORIGIN}{environment}", overlay.model_dump(exclude_unset=True)),
        ]

    def limits_for(self, environment: str) -> Limits:
        """Return an environment's limits for versions; cluster limits hold on clusters alone."""
        own = self.environments[environment]
        limits = {name: getattr(self.limits, name) for name in Limits.model_fields}
        limits["rollout"] = own.limits.rollout or self.limits.rollout
        return (Limits if own.target == "kubernetes" else LocalLimits)(**limits)

    def queue_rules(self, environment: str, users: Users) -> QueueRules:
        """Return the queues that an environment's deployments may use, given who consumes what."""
        access = {name: broker.access for name, broker in self.brokers.items()}
        cluster = self.environments[environment].cluster
        reached = frozenset(self.clusters[cluster].brokers) if cluster else None
        return QueueRules(access, users, reached)

    def namespace(self, environment: str, project: str) -> str:
        """Return the namespace of a project's deployments in an environment.

        Args:
            environment: the environment's name.
            project: the deployment's project (`state.Record.project`): the tag
                `schnitzel.project` of the version first promoted, or else the model's name.
        """
        return namespaces.expand(self.environments[environment].namespace, environment, project)

    def selector(self, environment: str) -> Selector:
        """Return the stage and alias that promote to an environment."""
        chosen = self.environments[environment]
        return Selector(stage=chosen.stage, alias=chosen.alias)

    def rollout_policy(self, environment: str) -> deployment.Policy:
        """Return an environment's policy for its deployments."""
        waiting = self.environments[environment].policy
        return deployment.Policy(
            retire_after=waiting.retire_after,
            retire_listings=waiting.retire_listings,
            max_retirements=self.policy.max_retirements,
            max_retirement_share=self.policy.max_retirement_share,
            retry_first=self.policy.retry_first,
            retry_most=self.policy.retry_most,
            poll=self.registry.poll,
        )


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the platform in SCHNITZEL_HOME.

    Args:
        environ: the variables with SCHNITZEL_PLATFORM and SCHNITZEL_<SECTION>__<FIELD>; by
            default the process's own.

    Raises:
        SettingsInvalid: names the file and line, or the variable; the field; and the remedy.
    """
    environ = os.environ if environ is None else environ
    written = read.read(environ)
    try:
        checked = _with_own_broker(PlatformFile.model_validate(written.values))
    except ValidationError as error:
        raise written.refusal(error) from error
    _check_brokers(checked, str(written.path))
    dumped = checked.model_dump(mode="json")
    every = {name: written.origin(name) for name, _ in read.flatten(dumped)}
    settings = Settings.model_construct(
        **dict(checked),
        home=home(),
        cache=cache(),
        platform_id=_platform_id(environ),
        origins=every,
    )
    for name in settings.environments:
        try:
            resolve(settings.layers(name), settings.limits_for(name), whole=False)
        except SpecInvalid as error:
            raise SettingsInvalid(f"{written.path}: {error.message}", error.hint) from error
    return settings


def _check_brokers(checked: PlatformFile, file: str) -> None:
    """Check that clusters give access to brokers that there are, the platform's own among them."""
    for cluster, name in ((c, n) for c, each in checked.clusters.items() for n in each.brokers):
        if name not in checked.brokers:
            known = ", ".join(map(repr, checked.brokers)) or "none"
            raise SettingsInvalid(
                f"{file}: clusters.{cluster}.brokers names {name!r}, and brokers has {known}.",
                f"Add the broker as brokers.{name}, by whose address the Deployer reads its "
                "queues, or correct the name.",
            )


def _with_own_broker(checked: PlatformFile) -> PlatformFile:
    """Name the RabbitMQ that `schnitzel up` runs as the broker `default`, unless there is one."""
    if "rabbitmq" not in checked.components or "default" in checked.brokers:
        return checked
    own = Broker(url_ref=f"file:{Layout(home()).rabbitmq_url}")
    return checked.model_copy(update={"brokers": {**checked.brokers, "default": own}})


def main_settings(as_json: bool) -> int:
    """Print the settings as text or as one JSON object; exit status 2 if they are invalid."""
    try:
        settings = load()
    except SchnitzelError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error.message}{hint}\n")
        return 2
    dumped = settings.model_dump(mode="json")
    if as_json:
        sys.stdout.write(json.dumps(dumped, indent=2) + "\n")
        return 0
    for name, value in read.flatten(dumped):
        if name in settings.origins:  # and not the origins themselves
            sys.stdout.write(f"{name} = {json.dumps(value)}  ({settings.origins[name]})\n")
    return 0


def _platform_id(environ: Mapping[str, str]) -> str:
    """Return the platform's id from SCHNITZEL_PLATFORM_ID (a pod keeps no home) or the home."""
    given = environ.get("SCHNITZEL_PLATFORM_ID")
    if not given:
        return platform_id(Layout(home()).platform_id)
    if not re.fullmatch(r"[a-z0-9]{1,40}", given):
        raise SettingsInvalid(
            f"SCHNITZEL_PLATFORM_ID is {given!r}, which cannot be a platform's id.",
            "Use 1 to 40 of a-z and 0-9, and keep them for as long as the platform lives.",
        )
    return given
