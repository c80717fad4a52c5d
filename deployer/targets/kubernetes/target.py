"""Run deployments on a cluster: apply their objects there, and observe them.

The target reads live objects from a cache that watches the cluster; it renders the wanted ones,
compares them, and writes only differences. The record and the status live in the deployment's
ModelDeployment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deployer.analysis import example
from deployer.analysis.probes import Examples
from deployer.background.jobs import Job
from deployer.background.periodic import Periodic
from deployer.config.settings import Settings
from deployer.errors import GatewayUnavailable, TargetUnavailable
from deployer.plan.preview import Node, Preview
from deployer.python_env.retention import Inventory, Needs
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.state.record import Record
from deployer.status.verdict import Status
from deployer.targets.base import MetricsEndpoint, PreflightCheck
from deployer.targets.kubernetes.apply.applier import ObjectApplier
from deployer.targets.kubernetes.apply.deployment import DeploymentApplier
from deployer.targets.kubernetes.apply.drift import DriftFilter
from deployer.targets.kubernetes.apply.preview import Previewer
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import LiveObject, Owner
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Unavailable
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, HTTP_ROUTE, POD
from deployer.targets.kubernetes.client.pod_http import PodHttp
from deployer.targets.kubernetes.images.inventory import ImageStore
from deployer.targets.kubernetes.images.preparation import ImagePreparation
from deployer.targets.kubernetes.observe import (
    logs as podlogs,
    predictor as observation,
    select,
    tree,
)
from deployer.targets.kubernetes.observe.diagnostics import Diagnostics
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.observe.reach import LOOK_SECONDS, Reach
from deployer.targets.kubernetes.observe.select import deployment_of, first_ready, instance, known
from deployer.targets.kubernetes.records.records import ClusterRecords
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer
from deployer.targets.kubernetes.render.manifests import Manifests


@dataclass(frozen=True, slots=True)
class Components:
    """The parts of the target of one cluster."""

    check: Callable[[], list[PreflightCheck]]
    client: Client
    cache: Cache
    records: ClusterRecords
    preparation: ImagePreparation
    manifests: Manifests
    gateway: Gateway
    pod_http: PodHttp
    images: ImageStore
    unchanged: Unchanged
    changed: Callable[[str], None]
    """Called with a deployment's id when a pass over it has something new to see."""


class KubernetesTarget:
    """Deployments as objects of one cluster.

    Args:
        name: The cluster's name in platform.yaml.
        parts: The parts of the target.
        settings: Namespaces, and the treatment of drift.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, name: str, parts: Components, settings: Settings, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._parts = parts
        self._settings = settings
        self._clock = clock
        self._applier = ObjectApplier(
            parts.client, parts.cache.record_write, parts.cache.mark_deleting
        )
        self._examples = Examples()
        self._diagnostics = Diagnostics(parts.client, parts.pod_http, parts.changed)
        self._drift_filter = DriftFilter(parts.records, clock)
        renderer = DeploymentRenderer(parts.manifests)
        self._deployment_applier = DeploymentApplier(
            renderer,
            self._applier,
            parts.preparation,
            parts.records,
            self._drift_filter,
            settings,
            parts.unchanged,
            clock,
        )
        self._previewer = Previewer(renderer, self._applier, parts.preparation)
        self._looking: Periodic | None = None

    @property
    def server(self) -> str:
        """The version of chart and server image that predictors are now rendered with."""
        return self._parts.manifests.version

    def watch(self, changed: Callable[[str], None]) -> None:
        """See `Target.watch`; the cache reports changes of objects."""
        reach = Reach(self._parts.cache, self._parts.gateway, changed)
        self._looking = Periodic(reach.look, "reach", LOOK_SECONDS)

    def observe(self, deployment: str) -> Observed:
        """See `Target.observe`."""
        now = self._clock()
        record = self._parts.records.load(deployment)
        if record is None:
            return Observed({}, now)
        live = self._live(record)
        weights: dict[str, int] = {}
        gateway_error = ""
        try:
            route = next((o.object() for o in live if o.kind == HTTP_ROUTE), None)
            weights = self._parts.gateway.live(deployment, route)
        except GatewayUnavailable as error:
            gateway_error = error.message
        found, awaits = {}, ""
        for predictor in known(record):
            weight = weights.get(predictor.name, 0)
            found[predictor.name], waits = self._observe(deployment, predictor, live, weight, now)
            awaits = f"the events and logs of {predictor.name}" if waits else awaits
        drift = self._drift_filter.found(deployment)
        return Observed(found, now, gateway_error, "schnitzel cluster check", drift, awaits)

    def apply(self, deployment: Deployment, observed: Observed) -> None:
        """See `Target.apply`."""
        record, owner = self._kept(deployment.id)
        live = self._live(record)
        self._restart(deployment, live)
        self._deployment_applier.apply(deployment, record, owner, live, lambda: self._live(record))
        for name in deployment.ask:
            self._ask(observed.predictors[name].predictor, live)
        kept = {weighted.predictor.name for weighted in deployment.predictors}
        for name, seen in observed.predictors.items():
            if name not in kept:
                self._parts.preparation.forget(seen.predictor)
                self._deployment_applier.forget(name)
                self._examples.forget(name)
                self._diagnostics.forget(name)

    def preview(self, deployment: Deployment) -> Preview:
        """See `Target.preview`."""
        records = self._parts.records
        known = records.load(deployment.id)
        there = records.object(deployment.id)
        record = known or Record(deployment.id, deployment.model, deployment.environment)
        return self._previewer.preview(
            deployment,
            self._settings.environments[deployment.environment],
            records.namespace(record),
            self._live(record),
            Owner(self._parts.cache.platform, deployment.id, there.uid if there else ""),
            record.adopt,
        )

    def tree(self, deployment: str) -> Node:
        """See `Target.tree`."""
        record = self._parts.records.load(deployment)
        if record is None:
            return Node("ModelDeployment", deployment, "absent")
        return tree.of(record, self._live(record), self.observe(deployment))

    def deployments(self) -> set[tuple[str, str]]:
        """See `Target.deployments`."""
        return {(record.model, record.environment) for record in self._parts.records.all()}

    def url(self, model: str, environment: str) -> str:
        """See `Target.url`."""
        return self._parts.gateway.url(model, environment)

    def publish(self, status: Status) -> None:
        """See `Target.publish`; an unreachable cluster cannot show that it is unreachable."""
        if status.verdict.reason == Unavailable.reason:
            return
        ready = wanted = 0
        if status.record.champion:
            for obj in self._live(status.record):
                if obj.kind == DEPLOYMENT and obj.predictor == status.record.champion.name:
                    whole = obj.object()
                    ready = int(whole.get("status", {}).get("readyReplicas") or 0)
                    wanted = int(whole.get("spec", {}).get("replicas") or 0)
        now = self._clock()
        if self._parts.records.publish(status, f"{ready}/{wanted}", now):
            verdict = status.verdict
            warning = verdict.state in ("Degraded", "Failed")
            self._parts.records.emit_event(
                status.record.id, verdict.reason, verdict.message, now, warning=warning
            )

    def logs(self, predictor: str, lines: int) -> str:
        """See `Target.logs`."""
        pods = [obj for obj in self._parts.cache.all(POD) if obj.predictor == predictor]
        return podlogs.lines_of(self._parts.client, pods, lines)

    def check(self) -> list[PreflightCheck]:
        """See `Target.check`."""
        return self._parts.check()

    def pages(self) -> list[MetricsEndpoint]:
        """See `Target.pages`; Prometheus discovers pods by their labels."""
        return []

    def environments(self, needs: Needs) -> Inventory:
        """See `Target.environments`."""
        return self._parts.images.inventory(needs)

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """See `Target.collect`."""
        self._parts.images.collect(names, needs, grace)

    def close(self) -> None:
        """See `Target.close`."""
        if self._looking:
            self._looking.close()
        self._diagnostics.close()
        self._parts.unchanged.close()
        self._parts.images.close()
        self._parts.preparation.close()
        self._parts.gateway.close()
        self._parts.cache.close(1.0)
        self._parts.client.close()

    def _live(self, record: Record) -> tuple[LiveObject, ...]:
        return self._parts.cache.of(self._parts.records.namespace(record), record.id)

    def _kept(self, deployment: str) -> tuple[Record, Owner]:
        """Load a deployment's record, and the ModelDeployment that holds it and owns all else."""
        record = self._parts.records.load(deployment)
        owner = self._parts.records.object(deployment)
        if record is None or owner is None:
            raise TargetUnavailable(
                f"The ModelDeployment {deployment} is not there (any more).", transient=True
            )
        return record, Owner(self._parts.cache.platform, deployment, owner.uid)

    def _observe(
        self,
        deployment: str,
        predictor: Predictor,
        live: Sequence[LiveObject],
        weight: int,
        now: float,
    ) -> tuple[ObservedPredictor, bool]:
        """Observe a predictor; True if evidence is on its way that may change the judgement."""
        own = [obj for obj in live if obj.predictor == predictor.name]
        refused = self._deployment_applier.refused(predictor.name)
        seen = select.seen(own, refused or self._parts.preparation.peek(predictor.name))
        pods = seen.pods
        verdict = self._examples.verdict(predictor.name, instance(pods))
        judged = observation.observe(predictor, seen, now, weight=weight, example=verdict)
        if not any(deployment_of(own)) or (judged.phase is Phase.READY and not judged.reason):
            self._diagnostics.forget(predictor.name)
            return judged, False
        namespace = own[0].key.namespace
        found, waits = self._diagnostics.evidence_of(deployment, predictor.name, namespace, pods)
        seen = replace(seen, events=found.events, log=found.log, answer=found.answer)
        return observation.observe(predictor, seen, now, weight=weight, example=verdict), waits

    def _restart(self, deployment: Deployment, live: Sequence[LiveObject]) -> None:
        """Restart failed predictors: rebuild a failed image, delete the owners of the pods."""
        for weighted in deployment.predictors:
            name = weighted.predictor.name
            if name not in deployment.restart:
                continue
            self._parts.preparation.forget(weighted.predictor)
            self._deployment_applier.forget(name)
            for obj in live:
                if obj.predictor == name and obj.has_pods and not obj.deleting:
                    self._applier.delete(obj)

    def _ask(self, predictor: Predictor, live: Sequence[LiveObject]) -> None:
        own = [o.object() for o in live if o.kind == POD and o.predictor == predictor.name]
        pod = first_ready(own)
        files: Job[Path] = self._parts.preparation.files(predictor)
        if pod is None or files.result is None:
            return
        post = self._parts.pod_http.post(pod, "/invocations")
        question = partial(example.ask, post, files.result)
        self._examples.ask(predictor.name, instance(own), question)
