"""Look at all that passes observe, once for all deployments, and report which of them changed.

As in Kubernetes, a report is a hint to pass over a deployment: what is true, the pass reads for
itself. So a look compares no more than it must: stamps of files, not their contents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from deployer.errors import GatewayUnavailable, TargetUnavailable
from deployer.targets.local.files import PredictorFiles, predictor_of
from deployer.targets.local.gateway import Gateway
from deployer.targets.local.processes import Processes
from deployer.targets.local.removal import Removals
from stack.supervision.supervisor import Process

LOOK_SECONDS: Final = 0.5
"""Seconds between looks. supervisord itself may take a second to notice that a process ended."""


class LocalInformer:
    """A look at processes, state files and routes, compared with the look before.

    Args:
        files: The predictors, with the stamps of their files.
        processes: Their processes.
        gateway: Their routes, and the weights that are live.
        removals: The predictors that are being removed, which no pass observes.
        changed: Called with the id of each deployment that changed; quick.
    """

    def __init__(
        self,
        files: PredictorFiles,
        processes: Processes,
        gateway: Gateway,
        removals: Removals,
        changed: Callable[[str], None],
    ) -> None:
        self._files = files
        self._processes = processes
        self._gateway = gateway
        self._removals = removals
        self._changed = changed
        self._before: Mapping[str, object] = {}
        self._listed: Mapping[str, Process] = {}
        self._servers: dict[str, list[object]] = {}

    def look(self) -> None:
        """Look once; the first look reports every deployment: a pass may have been first.

        What cannot be seen has changed, and so has what can be seen again.
        """
        now = self._look()
        before, self._before = self._before, {}  # after a report that raises, all is reported
        for deployment in sorted(now.keys() | before.keys()):
            if now.get(deployment) != before.get(deployment):
                self._changed(deployment)
        self._before = now

    def _look(self) -> dict[str, object]:
        removed = self._removals.names()
        definitions = [d for d in self._files.all() if d.predictor.name not in removed]
        if not definitions:  # then supervisord may never have been started
            return {}
        servers, unseen = self._see_servers()
        live, unread = self._see_weights()
        folders, routes = self._files.stamps(), self._gateway.stamps()
        found: dict[str, dict[str, object]] = {}
        for name, deployment in ((d.predictor.name, d.deployment) for d in definitions):
            found.setdefault(deployment, {})[name] = folders.get(name), servers.get(name)
        return {
            deployment: (unseen, unread, own, live.get(deployment), routes.get(deployment))
            for deployment, own in found.items()
        }

    def _see_servers(self) -> tuple[Mapping[str, object], bool]:
        """Return what may change of each predictor's servers, and whether none can be seen."""
        try:
            listed = self._processes.look()
        except TargetUnavailable:
            return {}, True
        if listed is not self._listed:
            self._listed, self._servers = listed, defaultdict(list)
            for process in sorted(listed.values(), key=lambda each: each.name):
                own = self._servers[predictor_of(process.name)]
                own.append((process.name, process.state, process.pid, process.started))
        return self._servers, False

    def _see_weights(self) -> tuple[Mapping[str, object], bool]:
        """Return the live weights by deployment, and whether the gateway does not answer."""
        try:
            return self._gateway.look(), False
        except GatewayUnavailable:
            return {}, True
