"""Build the parts of a Deployer from its settings: clients, stores and targets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from deployer.analysis.asking import Ask
from deployer.analysis.judging import Judging
from deployer.analysis.prometheus import Prometheus
from deployer.artifacts.cache import Artifacts
from deployer.brokers.client import Broker, Brokers
from deployer.brokers.loop import Loop
from deployer.config.secret_refs import credentials, resolve_secret
from deployer.config.settings import Settings
from deployer.controller.context import ReconcileContext
from deployer.controller.queues import QueueWatch
from deployer.controller.scaler import Scaler
from deployer.desired import promotions
from deployer.errors import FormatUnknown
from deployer.python_env.cache import Environments
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.store.evidence import EvidenceStore
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.router import ClusterStore, RecordStores
from deployer.store.sqlite import Database, Transactions
from deployer.targets.base import Target
from stack.paths import Layout

if TYPE_CHECKING:
    from deployer.targets.kubernetes.wiring import Assembled

LOOPBACK = "127.0.0.1"


@dataclass
class Wiring:
    """The parts of a Deployer below its controller and its API."""

    context: ReconcileContext
    rest: RegistryClient
    mlflow_url: str
    database: Transactions
    clusters: Mapping[str, Assembled] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetInputs:
    """The parts that targets are built from."""

    settings: Settings
    layout: Layout
    artifacts: Artifacts
    mlflow_url: str
    records: Records
    changed: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuiltTargets:
    """The targets of one kind.

    Attributes:
        targets: The target of each environment.
        records: The records of each environment that keeps them in its target.
        clusters: The clusters, which the service starts once it holds their Leases.
    """

    targets: Mapping[str, Target]
    records: Mapping[str, ClusterStore] = field(default_factory=dict)
    clusters: Mapping[str, Assembled] = field(default_factory=dict)


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
    built = _targets(TargetInputs(settings, layout, artifacts, mlflow_url, kept, changed))
    records = RecordStores(kept, built.records)
    marker = RegistryIdentity(rest, kept, settings.platform_id)
    selectors = {name: settings.selector(name) for name in settings.environments}
    registry = Registry(
        rest,
        marker.check,
        lambda listed: promotions.doubtful_models(records.all(), listed, selectors),
    )
    evidence = EvidenceStore(database)
    queues = QueueWatch(_brokers(settings), records.all, built.targets, time.time)
    context = ReconcileContext(
        settings=settings,
        registry=registry,
        descriptions=Descriptions(registry, artifacts.read_file, changed),
        identity=marker,
        records=records,
        history=History(database),
        tags=TagWriter(rest, kept, marker.advance),
        promoters=Promoters(registry),
        targets=built.targets,
        clock=time.time,
        judging=Judging(changed, time.time, evidence, _prometheus(settings)),
        evidence=evidence,
        queues=queues,
        scaler=Scaler(queues, changed, time.time),
    )
    return Wiring(context, rest, mlflow_url, database, built.clusters)


def _targets(inputs: TargetInputs) -> BuiltTargets:
    """Build the targets of all environments, each by the factory of its kind."""
    built = BuiltTargets({})
    environments = inputs.settings.environments
    for kind, factory in FACTORIES.items():
        if own := [name for name in environments if environments[name].target == kind]:
            made = factory(inputs, own)
            built = BuiltTargets(
                {**built.targets, **made.targets},
                {**built.records, **made.records},
                {**built.clusters, **made.clusters},
            )
    return built


def _kubernetes(inputs: TargetInputs, environments: Sequence[str]) -> BuiltTargets:
    from deployer.targets.kubernetes.wiring import assemble  # noqa: PLC0415 - only with a cluster

    settings = inputs.settings
    cluster_of = {name: str(settings.environments[name].cluster) for name in environments}
    clusters = {
        name: assemble(
            name,
            settings,
            inputs.artifacts,
            inputs.mlflow_url,
            inputs.changed,
            time.time,
            inputs.records,
        )
        for name in sorted(set(cluster_of.values()))
    }
    return BuiltTargets(
        {name: clusters[cluster].target for name, cluster in cluster_of.items()},
        {name: clusters[cluster].records for name, cluster in cluster_of.items()},
        clusters,
    )


def _local(inputs: TargetInputs, environments: Sequence[str]) -> BuiltTargets:
    # A Deployer in a pod has neither supervisord nor Traefik.
    from deployer.targets.local.gateway import Gateway  # noqa: PLC0415
    from deployer.targets.local.preparation import LocalPreparation  # noqa: PLC0415
    from deployer.targets.local.queue import broker_files  # noqa: PLC0415
    from deployer.targets.local.target import LocalTarget  # noqa: PLC0415

    settings, layout = inputs.settings, inputs.layout
    cache = Environments(settings.cache, settings.limits.parallel_builds)
    url = settings.gateway.url or f"http://{LOOPBACK}:{settings.gateway.port}"
    api_url = settings.gateway.api_url or f"http://{LOOPBACK}:{settings.gateway.api_port}"
    target = LocalTarget(
        layout.serving,
        layout.logs / "serving",
        settings.platform_id,
        LocalPreparation(inputs.artifacts, cache, time.time, settings.limits.package_indexes),
        Gateway(layout.gateway_dynamic, url, api_url, settings.local.host or LOOPBACK),
        time.time,
        elsewhere=settings.local.host is not None,
        consumers=broker_files.consumers(settings, layout),
    )
    return BuiltTargets(dict.fromkeys(environments, target))


FACTORIES: Final[Mapping[str, Callable[[TargetInputs, Sequence[str]], BuiltTargets]]] = {
    "kubernetes": _kubernetes,
    "local": _local,
}
"""The factory of each kind of target, as `environments.NAME.target` names the kind."""


def _database(settings: Settings, layout: Layout) -> Transactions:
    if settings.deployer.database_ref is None:
        return Database(layout.deployer_database)
    from deployer.store.postgres import PostgresDatabase  # noqa: PLC0415 - an extra of its own

    return PostgresDatabase(resolve_secret(settings.deployer.database_ref))


def _brokers(settings: Settings) -> Brokers:
    loop = Loop()
    return Brokers(
        {
            name: Broker(name, partial(resolve_secret, own.url_ref), own.ca_file, loop)
            for name, own in settings.brokers.items()
        },
        loop,
    )


def _prometheus(settings: Settings) -> Ask | None:
    own = settings.prometheus
    return Prometheus(own.url, credentials(own)).ask if own.url else None


def _mlflow_credentials(settings: Settings) -> tuple[str, str] | None:
    found = credentials(settings.mlflow)
    if found:
        return found
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if name else None
