"""Remove predictors and surplus replicas in the background: stop servers, then delete folders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from deployer.background.jobs import each
from deployer.state.predictor import Predictor
from deployer.targets.local.files import PredictorFiles, predictor_of
from stack.errors import StackError
from stack.supervision.supervisor import Supervisor


class Removals:
    """The removals of predictors that are under way.

    Args:
        supervisor: The supervisord of their servers.
        files: Their folders.
        forget: Called with each predictor at the end, removed or not.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        files: PredictorFiles,
        forget: Callable[[Predictor], None],
    ) -> None:
        self._supervisor = supervisor
        self._files = files
        self._forget = forget
        self._names: set[str] = set()
        self._replicas: set[str] = set()
        self._lock = threading.Lock()

    def names(self) -> frozenset[str]:
        """Return the names of the predictors that are being removed."""
        with self._lock:
            return frozenset(self._names)

    def begin(self, predictor: Predictor) -> None:
        """Begin to remove a predictor, unless that is under way."""
        with self._lock:
            if predictor.name in self._names:
                return
            self._names.add(predictor.name)
        # A daemon: a long drain must not delay the Deployer's end; the next start begins it anew.
        threading.Thread(target=self._remove, args=(predictor,), name="retire", daemon=True).start()

    def begin_replica(self, predictor: Predictor, replica: str) -> None:
        """Begin to stop a replica of a predictor, which stays; unless that is under way."""

        def stop() -> None:
            try:
                with suppress(StackError):
                    self._supervisor.remove(replica, grace=predictor.spec.rollout.drain + 5)
            finally:
                with self._lock:
                    self._replicas.discard(replica)

        with self._lock:
            if replica in self._replicas:
                return
            self._replicas.add(replica)
        threading.Thread(target=stop, name="scale-in", daemon=True).start()

    def _remove(self, predictor: Predictor) -> None:
        try:
            with suppress(StackError):
                listed = self._supervisor.processes()
                own = [name for name in listed if predictor_of(name) == predictor.name]
                grace = predictor.spec.rollout.drain + 5
                stop = partial(self._supervisor.remove, grace=grace)
                each(stop, own, max(1, len(own)), "retire")
                self._files.remove(predictor.name)
            self._forget(predictor)
        finally:
            with self._lock:
                self._names.discard(predictor.name)
