"""Assemble the target, the records and the Lease of a cluster from its settings."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from deployer.artifacts.cache import Artifacts
from deployer.artifacts.metadata import SmallFiles
from deployer.config.settings import Settings
from deployer.python_env.collector import Collector
from deployer.schema.units import format_cpu, format_quantity
from deployer.targets.base import PreflightCheck
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.execute import Executor
from deployer.targets.kubernetes.apply.pipeline import Pipeline
from deployer.targets.kubernetes.apply.preview import Previewer
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.cache import KINDS, Cache
from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT, SELDON_DEPLOYMENT
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.context import ClusterContext
from deployer.targets.kubernetes.images.builds import ImageBuilds
from deployer.targets.kubernetes.images.inventory import ClusterImages
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.images.site import BuildSite
from deployer.targets.kubernetes.lease import Lease
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.observe.observer import Observer
from deployer.targets.kubernetes.preflight import check
from deployer.targets.kubernetes.queue.consumers import Consumers
from deployer.targets.kubernetes.records.deletions import DeletionLedger, Memory
from deployer.targets.kubernetes.records.records import ClusterRecords
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer
from deployer.targets.kubernetes.render.manifests import Manifests
from deployer.targets.kubernetes.target import Components, KubernetesTarget

ENVIRONMENTS: Final = "environments"
"""The repository of images with Python environments, in the registry that platform.yaml names."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """The assembled parts of one cluster."""

    target: KubernetesTarget
    records: ClusterRecords
    cache: Cache
    lease: Lease

    def start(self, seconds: float, stop: threading.Event) -> bool:
        """Begin to watch the cluster, and return whether all listings completed in time.

        Args:
            seconds: How long to wait for the listings.
            stop: Ends the wait once it is set.
        """
        self.cache.start()
        deadline = time.monotonic() + seconds
        while not self.cache.wait(0.1):
            if stop.is_set() or time.monotonic() > deadline:
                return False
        return True


def assemble(
    name: str,
    settings: Settings,
    artifacts: Artifacts,
    tracking_url: str,
    changed: Callable[[str], None],
    clock: Callable[[], float],
    memory: Memory,
) -> Assembled:
    """Assemble the parts of one cluster, without a request to it.

    Args:
        name: The cluster's name in platform.yaml.
        settings: The settings of the platform.
        artifacts: Reads the small files of versions.
        tracking_url: MLflow's address, for pods whose cluster names no other.
        changed: Called with a deployment's id whenever an object of the deployment changed.
        clock: Seconds since the epoch.
        memory: Keeps the deletion ledger and the unchanged deployments over a restart.
    """
    cluster = settings.clusters[name]
    session = Session(ClusterAccess(cluster.kubeconfig, cluster.context, cluster.in_cluster))
    unguarded = Client(session, direct=cluster.direct)
    lease_key = (lease_namespace(name, settings), f"schnitzel-{settings.platform_id}")
    lease = Lease(
        unguarded,
        *lease_key,
        f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
    )
    found = tuple(namespaces(name, settings))
    context, unchanged = _context(
        name, settings, unguarded.with_guard(lease.raise_if_not_held), found, changed, clock, memory
    )
    target = KubernetesTarget(
        context,
        _parts(
            context,
            settings,
            artifacts,
            tracking_url,
            unchanged,
            partial(check, unguarded, cluster, found, lease_key),
        ),
    )
    return Assembled(target, context.records, context.cache, lease)


def _context(
    name: str,
    settings: Settings,
    client: Client,
    watched: tuple[str, ...],
    changed: Callable[[str], None],
    clock: Callable[[], float],
    memory: Memory,
) -> tuple[ClusterContext, Unchanged]:
    """Make the context of a cluster, and the notes on unchanged deployments that follow it."""
    cluster = settings.clusters[name]

    def deleted(live: LiveObject, by_us: bool) -> None:
        records.note_deleted(live, by_us)
        if live.kind == MODEL_DEPLOYMENT:
            unchanged.forget(live.deployment)

    cache = Cache(
        client,
        settings.platform_id,
        watched,
        (*KINDS, SELDON_DEPLOYMENT) if cluster.seldon else KINDS,
        changed=changed,
        deleted=deleted,
    )
    unchanged = Unchanged(name, memory, cache.deployments)
    records = ClusterRecords(client, cache, settings.namespace, DeletionLedger(name, memory))
    context = ClusterContext(
        name, cluster, settings.environments, watched, client, cache, records, clock, changed
    )
    return context, unchanged


def _parts(
    context: ClusterContext,
    settings: Settings,
    artifacts: Artifacts,
    tracking_url: str,
    unchanged: Unchanged,
    preflight: Callable[[], list[PreflightCheck]],
) -> Components:
    """Make the parts of a cluster's target."""
    cluster, client, clock = context.cluster, context.client, context.clock
    indexes = settings.limits.package_indexes
    files = SmallFiles(artifacts, settings.cache / "small-files", indexes)
    site = _build_site(context.name, settings, tracking_url)
    builds = ImageBuilds(client, site, settings.limits.parallel_builds, clock)
    preparation = ImagePreparation(cluster, files, builds, clock, indexes)
    manifests = Manifests(Charts(), cluster, settings.platform_id, tracking_url)
    renderer = DeploymentRenderer(manifests)
    executor = Executor(client, context.cache.record_write, context.cache.mark_deleting)
    drift = DriftFilter(context)
    pipeline = Pipeline(context, renderer, executor, preparation, drift, unchanged)
    probe_url = cluster.gateway.probe_url
    consumers = Consumers(client)
    gateway = Gateway(str(cluster.gateway.url), probe_url and str(probe_url))
    images = ClusterImages(context, builds, site, files)
    return Components(
        preflight=preflight,
        renderer=renderer,
        preparation=preparation,
        observer=Observer(context, gateway, preparation, drift.found, consumers),
        pipeline=pipeline,
        previewer=Previewer(context, pipeline, renderer, executor, preparation),
        collector=Collector(images, "image-removal", clock),
        consumers=consumers,
    )


def namespaces(name: str, settings: Settings) -> list[str]:
    """List the namespaces of a cluster's deployments; [""], all, where projects name their own."""
    own = [e for e in settings.environments if settings.environments[e].cluster == name]
    if any("{project}" in settings.environments[e].namespace for e in own):
        return [""]
    return sorted({settings.namespace(e, "") for e in own})


def lease_namespace(name: str, settings: Settings) -> str:
    """Return the namespace of a cluster's Lease, the same for every Deployer of the platform."""
    found = namespaces(name, settings)
    return found[0] if found and found[0] else settings.clusters[name].build.namespace


def _build_site(name: str, settings: Settings, tracking_url: str) -> BuildSite | None:
    cluster = settings.clusters[name]
    registry, build = cluster.registry, cluster.build
    if registry is None or build.image is None:
        return None
    bundle = build.trust_bundle
    return BuildSite(
        namespace=build.namespace,
        platform_id=settings.platform_id,
        cluster=name,
        builder=build.image,
        base=registry.push_reference(cluster.server_image),
        push=f"{registry.push}/{ENVIRONMENTS}",
        pull=f"{registry.pull}/{ENVIRONMENTS}",
        insecure=registry.insecure,
        push_secret=registry.push_secret or "",
        pull_secret=registry.pull_secret or "",
        index_secret=build.index_secret or "",
        server=cluster.server_image,
        tracking_uri=str(cluster.artifacts.tracking_uri or tracking_url),
        artifact_secret=build.artifact_secret or "",
        trust_bundle=(bundle.config_map, bundle.key) if bundle else None,
        wheels_only=build.wheels_only,
        timeout=int(build.timeout),
        cpu=format_cpu(build.cpu),
        memory=format_quantity(build.memory),
    )
