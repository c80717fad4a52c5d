"""Run deployments on this machine: model servers under supervisord, routes in Traefik.

The servers belong to a supervisord of their own, which outlives the Deployer. The target reads what
runs from supervisord, the servers' state files and Traefik, and never remembers it. One listing of
supervisord's and one answer of Traefik's serve all passes, and an informer reports what changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deployer.analysis import example, windows
from deployer.analysis.probes import Examples
from deployer.background.periodic import Periodic
from deployer.errors import GatewayUnavailable, TargetUnavailable
from deployer.plan.preview import Node, Preview
from deployer.python_env.collector import Collector
from deployer.python_env.retention import Inventory, Needs
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Predictor
from deployer.targets import queue_servers, shares
from deployer.targets.base import MetricsEndpoint
from deployer.targets.local import preview as showing
from deployer.targets.local.environments import LocalEnvironments
from deployer.targets.local.files import Definition, PredictorFiles
from deployer.targets.local.gateway import LOOPBACK, Gateway, Weights
from deployer.targets.local.informer import LOOK_SECONDS, LocalInformer
from deployer.targets.local.observe import complete, together
from deployer.targets.local.preparation import LocalPreparation
from deployer.targets.local.processes import Processes, read_logs
from deployer.targets.local.queue.consumers import NOBODY, Consumers
from deployer.targets.local.removal import Removals
from deployer.targets.local.servers import Servers
from stack.errors import StackError
from stack.supervision.supervisor import SERVING, Process, Supervisor

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


class LocalTarget:
    """Deployments as processes of this machine.

    Args:
        root: The folder of the model servers' supervisord and predictors.
        logs: The folder of the model servers' logs, which stay after a server has gone.
        platform_id: The platform that owns the predictors.
        preparation: Fetches artifacts and builds Python environments.
        gateway: Traefik's routes.
        clock: Seconds since the epoch.
        elsewhere: Whether another container runs the model servers and their supervisord, with the
            same folders.
        consumers: The brokers of the platform.
    """

    name = "local"
    server = ""

    def __init__(
        self,
        root: Path,
        logs: Path,
        platform_id: str,
        preparation: LocalPreparation,
        gateway: Gateway,
        clock: Callable[[], float],
        *,
        elsewhere: bool = False,
        consumers: Consumers = NOBODY,
    ) -> None:
        self._logs = logs
        self._preparation = preparation
        self._gateway = gateway
        self._clock = clock
        listen = "0.0.0.0" if elsewhere else LOOPBACK  # noqa: S104 - a network of the gateway and us
        self._files = PredictorFiles(root / "predictors", platform_id, listen, consumers)
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._supervisor = Supervisor(root, SERVING, environment, elsewhere=elsewhere)
        self._processes = Processes(self._supervisor, elsewhere=elsewhere)
        self._elsewhere = elsewhere
        environments = LocalEnvironments(
            preparation.environments, preparation.small_files, self._files
        )
        self._collector = Collector(environments, "environment-removal", clock)
        self._examples = Examples()
        self._removals = Removals(self._supervisor, self._files, self._forget)
        self._servers = Servers(
            logs,
            gateway.servers,
            self._files,
            self._supervisor,
            self._processes,
            preparation,
            self._removals,
            clock,
        )
        self._looking: Periodic | None = None

    def watch(self, changed: Callable[[str], None]) -> None:
        """See `Target.watch`."""
        parts = (self._files, self._processes, self._gateway, self._removals)
        informer = LocalInformer(*parts, changed)
        self._looking = Periodic(informer.look, "local-informer", LOOK_SECONDS)

    def observe(self, deployment: str) -> Observed:
        """See `Target.observe`."""
        now, gateway_error = self._clock(), ""
        live: Weights = {}
        try:
            live = self._gateway.live(deployment)
        except GatewayUnavailable as error:
            gateway_error = error.message
        processes, removed = self._processes.all(), self._removals.names()
        found = {}
        for definition in self._files.all():
            name = definition.predictor.name
            if definition.deployment == deployment and name not in removed:
                found[name] = self._observe(definition, processes, live.get(name, 0), now)
        return Observed(found, now, gateway_error)

    def apply(self, deployment: Deployment, observed: Observed) -> None:
        """See `Target.apply`."""
        try:
            for weighted in deployment.predictors:
                seen = observed.predictors.get(weighted.predictor.name)
                restart = weighted.predictor.name in deployment.restart
                self._servers.ensure(deployment, weighted.predictor, seen, restart=restart)
            self._servers.share(deployment)
            for name in deployment.ask:
                seen = observed.predictors[name]
                artifact = self._artifact(name)
                if seen.port is not None:
                    url = f"http://{self._gateway.servers}:{seen.port}"
                    asks = partial(example.ask, url, artifact)
                    if before := deployment.relied_on(seen.predictor):
                        relied = self._artifact(before.name)
                        asks = partial(example.ask_successor, url, artifact, relied)
                    self._examples.ask(name, seen.pid, asks)
            self._route(deployment)
        except (StackError, OSError) as error:
            hint = error.hint if isinstance(error, StackError) else ""
            raise TargetUnavailable(
                f"This machine did not carry out a command: {error}", hint or "schnitzel doctor"
            ) from error
        kept = {weighted.predictor.name for weighted in deployment.predictors}
        for name, seen in observed.predictors.items():
            if name not in kept:
                self._removals.begin(seen.predictor)

    def preview(self, deployment: Deployment) -> Preview:
        """See `Target.preview`."""
        running = self._processes.all().keys() - self._removals.names()

        def program(replica: str, predictor: Predictor) -> dict[str, Any]:
            values: dict[str, Any] = json.loads(
                self._servers.program(replica, predictor).definition()
            )
            return values

        def place(predictor: Predictor) -> tuple[str, str]:
            prepared = self._preparation.peek(predictor.name)
            known = (prepared.artifact, prepared.python) if prepared else (None, None)
            return str(known[0] or ""), str(known[1] or "")

        return showing.preview(deployment, self._files, self._gateway, running, program, place)

    def tree(self, deployment: str) -> Node:
        """See `HasTree.tree`."""
        observed, processes = self.observe(deployment), self._processes.all()
        parts = {
            name: [
                {"name": replica, "port": self._files.server(replica).get("port")}
                | self._servers.observe(seen.predictor, replica, processes, observed.at)
                for replica in self._files.replicas(seen.predictor)
            ]
            for name, seen in observed.predictors.items()
        }
        return showing.tree(deployment, observed, parts)

    def deployments(self) -> set[tuple[str, str]]:
        """See `Target.deployments`."""
        return {(definition.model, definition.environment) for definition in self._files.all()}

    def url(self, model: str, environment: str) -> str:
        """See `Target.url`."""
        return self._gateway.url(model, environment)

    def logs(self, predictor: str, lines: int) -> str:
        """See `HasLogs.logs`."""
        return read_logs(self._logs, predictor, lines)

    def pages(self) -> list[MetricsEndpoint]:
        """See `HasMetricsEndpoints.pages`."""
        return self._files.pages(self._gateway.servers)

    def windows(self, predictor: Predictor) -> Mapping[str, bytes]:
        """See `CountsRequests.windows`."""
        return self._servers.read(predictor, windows.PATH)

    def queues(self, predictor: Predictor) -> Mapping[str, bytes]:
        """See `HasQueues.queues`."""
        return self._servers.read(predictor, queue_servers.PATH)

    def environments(self, needs: Needs) -> Inventory:
        """See `HasPythonEnvironments.environments`."""
        return self._collector.inventory(needs)

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """See `HasPythonEnvironments.collect`."""
        self._collector.collect(names, needs, grace)

    def close(self) -> None:
        """See `Target.close`."""
        if self._looking:
            self._looking.close()
        self._collector.close()
        self._preparation.close()
        self._gateway.close()

    def _observe(
        self, definition: Definition, processes: Mapping[str, Process], weight: int, now: float
    ) -> ObservedPredictor:
        predictor = definition.predictor
        name = predictor.name
        parts = [
            self._servers.observe(predictor, replica, processes, now)
            for replica in self._files.replicas(predictor)
        ]
        seen = together(parts, scaled=predictor.spec.is_scaled_by_messages)
        seen["predictor"] = predictor
        verdict = self._examples.verdict(name, seen.get("pid"))
        ports = self._files.ports(predictor)
        if not parts:  # only what has all of the traffic is scaled to nothing
            weight = 100
        elif predictor.spec.runtime == "queue":
            wanted = self._gateway.wanted(definition.deployment).get(name, 0)
            weight = shares.combine(weight, self._files.consumed(predictor), wanted)
        return complete(seen, weight, ports[0] if ports else None, verdict)

    def _artifact(self, predictor: str) -> Path:
        artifact = self._files.artifact(predictor)
        if self._elsewhere:
            # Models can write to that file: the Deployer reads no file that they could not read.
            artifact = artifact.resolve()
            if not self._preparation.holds(artifact):
                raise TargetUnavailable(
                    f"The server of {predictor} names files that are no artifact: {artifact}.",
                    "Something in the container of model servers changed that; look at its code.",
                )
        return artifact

    def _route(self, deployment: Deployment) -> None:
        shares = {}
        for weighted in deployment.predictors:
            if weighted.weight and (ports := self._files.ports(weighted.predictor)):
                shares[weighted.predictor.name] = (ports, weighted.weight)
        self._gateway.route(deployment.id, deployment.model, deployment.environment, shares)

    def _forget(self, predictor: Predictor) -> None:
        self._preparation.forget(predictor)
        self._examples.forget(predictor.name)
