"""Start, scale and observe the model servers of predictors, and tell them their shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from deployer.state.deployment import Deployment
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.targets import shares
from deployer.targets.local import counts
from deployer.targets.local.files import PredictorFiles, predictor_of
from deployer.targets.local.observe import observe_server
from deployer.targets.local.preparation import LocalPreparation
from deployer.targets.local.processes import Processes
from deployer.targets.local.removal import Removals
from stack.supervision.supervisor import Process, Program, Supervisor

_PREPARING: Final = (Phase.ABSENT, Phase.FETCHING, Phase.BUILDING)
_ANSWERS: Final = (Phase.READY, Phase.UNREADY)


class Servers:
    """The model servers of this machine.

    Args:
        logs: The folder of their logs.
        host: The host at which the Deployer reaches them.
        files: The folders of their predictors.
        supervisor: Their supervisord.
        processes: Their processes.
        preparation: Fetches artifacts and builds Python environments.
        removals: Stops surplus replicas.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        logs: Path,
        host: str,
        files: PredictorFiles,
        supervisor: Supervisor,
        processes: Processes,
        preparation: LocalPreparation,
        removals: Removals,
        clock: Callable[[], float],
    ) -> None:
        self._logs = logs
        self._host = host
        self._files = files
        self._supervisor = supervisor
        self._processes = processes
        self._preparation = preparation
        self._removals = removals
        self._clock = clock

    def observe(
        self, predictor: Predictor, replica: str, processes: Mapping[str, Process], now: float
    ) -> dict[str, Any]:
        """Observe a replica; see `observe_server`."""
        prepared = self._preparation.peek(predictor.name)
        state = self._files.state(replica)
        return observe_server(predictor, processes.get(replica), state, prepared, now)

    def ensure(
        self,
        deployment: Deployment,
        predictor: Predictor,
        seen: ObservedPredictor | None,
        *,
        restart: bool,
    ) -> None:
        """Start the missing replicas of a predictor, and on `restart` those that failed."""
        definition = self._files.define(
            deployment.id, deployment.model, deployment.environment, predictor
        )
        scales = predictor.spec.is_scaled_by_messages and self._scale(deployment, predictor)
        if restart:
            self._preparation.forget(predictor)
        elif seen and seen.phase not in _PREPARING and not scales:
            return
        prepared = self._preparation.ensure(predictor)
        if prepared.artifact is None or prepared.python is None:
            return
        processes = self._processes.all()
        for replica in self._files.replicas(predictor):
            before = self.observe(predictor, replica, processes, self._clock())
            if replica in processes and before["phase"] is not Phase.FAILED:
                continue
            if replica in processes:
                self._supervisor.remove(replica, grace=1)
            self._files.configure(definition, replica, prepared.artifact, prepared.python)
            self._supervisor.put(self.program(replica, predictor))

    def _scale(self, deployment: Deployment, predictor: Predictor) -> bool:
        """Set the number of replicas, and stop those that are too many; are some missing?"""
        number = deployment.replicas.get(predictor.name)
        if number is not None:
            self._files.scale(predictor, number)
        kept = set(self._files.replicas(predictor))
        processes = self._processes.all()
        for name in processes:
            if predictor_of(name) == predictor.name and name not in kept:
                self._removals.begin_replica(predictor, name)
        return not kept <= processes.keys()

    def share(self, deployment: Deployment) -> None:
        """Tell each running server that consumes a queue its share, unless it has it."""
        for predictor, share in shares.shares(deployment.predictors):
            consumes = predictor.spec.runtime == "queue"
            for replica in self._files.replicas(predictor) if consumes else ():
                if self._files.share(replica) == share:
                    continue
                seen = self.observe(predictor, replica, self._processes.all(), self._clock())
                if seen["phase"] in _ANSWERS:
                    server = self._files.server(replica)
                    self._files.consumers.put(self._host, server, share)
                else:  # it takes up no share that was another's when it comes back
                    self._files.forget_share(replica)

    def program(self, replica: str, predictor: Predictor) -> Program:
        """Return the program of a replica."""
        config = self._files.config_file(replica)
        return Program(
            name=replica,
            command=(sys.executable, "-m", "serving", str(config)),
            environment={},
            directory=config.parent,
            log=self._logs / f"{replica}.log",
            autorestart="unexpected",
            exit_codes=(0, 64, 65),
            stop_seconds=int(predictor.spec.rollout.drain) + 5,
        )

    def read(self, predictor: Predictor, path: str) -> Mapping[str, bytes]:
        """Read what each replica says of itself, by its name; b"" of one that does not answer."""
        names = self._files.replicas(predictor)
        return {name: counts.read(self._host, self._files.server(name), path) for name in names}
