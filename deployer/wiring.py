"""Build the parts of a Deployer from its settings: clients, stores and targets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployer.artifacts.cache import Artifacts
from deployer.config.secret_refs import credentials, resolve_secret
from deployer.config.settings import Settings
from deployer.controller.context import ReconcileContext
from deployer.desired import promotions
from deployer.errors import FormatUnknown
from deployer.python_env.cache import Environments
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.router import RecordStores
from deployer.store.sqlite import Database, Transactions
from deployer.targets.base import Target
from stack.paths import Layout

if TYPE_CHECKING:
    from deployer.targets.kubernetes.wiring import Assembled
    from deployer.targets.local.target import LocalTarget

LOOPBACK = "127.0.0.1"


@dataclass
class Wiring:
    """The parts of a Deployer below its controller and its API."""

    context: ReconcileContext
    rest: RegistryClient
    mlflow_url: str
    database: Transactions
    clusters: dict[str, Assembled] = field(default_factory=dict)
    local: LocalTarget | None = None


def wire(settings: Settings, layout: Layout, changed: Callable[[str], None]) -> Wiring:
    """Build the parts of a Deployer, without running the controller.

    Args:
        settings: all settings of the platform.
        layout: the layout of this platform's home.
        changed: called with a deployment's id when one of its objects changed in a cluster.

    Raises:
        SettingsInvalid: a setting names a file or secret that cannot be found or read.
        DatabaseUnavailable: the history cannot be kept.
        FormatUnknown: another version of the platform wrote the database.
    """
    mlflow_url = settings.mlflow.url or f"http://{LOOPBACK}:{settings.mlflow.port}"
    auth = _mlflow_credentials(settings)
    rest = RegistryClient(mlflow_url, auth)
    database = _database(settings, layout)
    try:
        kept = Records(database)
    except FormatUnknown:
        database.close()
        raise
    artifacts = Artifacts(settings.cache, mlflow_url, auth)
    clusters = {}
    names = {e.cluster for e in settings.environments.values() if e.cluster}
    if names:
        from deployer.targets.kubernetes.wiring import assemble  # noqa: PLC0415 - only with one

        for name in sorted(names):
            clusters[name] = assemble(
                name, settings, artifacts, mlflow_url, changed, time.time, kept
            )
    on_cluster = {
        name: clusters[environment.cluster]
        for name, environment in settings.environments.items()
        if environment.cluster
    }
    records = RecordStores(kept, {name: made.records for name, made in on_cluster.items()})
    marker = RegistryIdentity(rest, kept, settings.platform_id)
    selectors = {name: settings.selector(name) for name in settings.environments}
    registry = Registry(
        rest,
        marker.check,
        lambda listed: promotions.doubtful_models(records.all(), listed, selectors),
    )
    targets: dict[str, Target] = {name: made.target for name, made in on_cluster.items()}
    here = [name for name, each in settings.environments.items() if each.target == "local"]
    local = _local(settings, layout, artifacts) if here else None
    if local:
        targets |= dict.fromkeys(here, local)
    context = ReconcileContext(
        settings=settings,
        registry=registry,
        descriptions=Descriptions(registry, artifacts.read_file, changed),
        identity=marker,
        records=records,
        history=History(database),
        tags=TagWriter(rest, kept, marker.advance),
        promoters=Promoters(registry),
        targets=targets,
        clock=time.time,
    )
    return Wiring(context, rest, mlflow_url, database, clusters, local)


def _local(settings: Settings, layout: Layout, artifacts: Artifacts) -> LocalTarget:
    # A Deployer in a pod has neither supervisord nor Traefik.
    from deployer.targets.local.gateway import Gateway  # noqa: PLC0415
    from deployer.targets.local.preparation import LocalPreparation  # noqa: PLC0415
    from deployer.targets.local.target import LocalTarget  # noqa: PLC0415

    environments = Environments(settings.cache, settings.limits.parallel_builds)
    url = settings.gateway.url or f"http://{LOOPBACK}:{settings.gateway.port}"
    api_url = settings.gateway.api_url or f"http://{LOOPBACK}:{settings.gateway.api_port}"
    return LocalTarget(
        layout.serving,
        layout.logs / "serving",
        settings.platform_id,
        LocalPreparation(artifacts, environments, time.time, settings.limits.package_indexes),
        Gateway(layout.gateway_dynamic, url, api_url, settings.local.host or LOOPBACK),
        time.time,
        elsewhere=settings.local.host is not None,
    )


def _database(settings: Settings, layout: Layout) -> Transactions:
    if settings.deployer.database_ref is None:
        return Database(layout.deployer_database)
    from deployer.store.postgres import PostgresDatabase  # noqa: PLC0415 - an extra of its own

    return PostgresDatabase(resolve_secret(settings.deployer.database_ref))


def _mlflow_credentials(settings: Settings) -> tuple[str, str] | None:
    found = credentials(settings.mlflow)
    if found:
        return found
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if name else None
