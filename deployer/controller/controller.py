"""Run passes over deployments on changes, on timers and on operators' requests."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from deployer.controller.context import ReconcileContext
from deployer.controller.metrics import Metrics
from deployer.controller.queue import WorkQueue
from deployer.controller.reconcile import Reconciler
from deployer.controller.scope import Key, Scope
from deployer.controller.workers import Workers
from deployer.errors import (
    NotFound,
    PassFailed,
    PassHangs,
    SchnitzelError,
    is_transient,
)
from deployer.plan.preview import Preview
from deployer.registry.snapshot import RegistryRolledBack
from deployer.registry.watch import Health, Watch
from deployer.state.reasons import RegistryHealth
from deployer.state.record import Record
from deployer.status.verdict import Status
from deployer.store.history import Event

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0  # that an operator's request waits for the pass under way
MOVING_SECONDS = 0.1  # between passes while a rollout is under way
STEADY_SECONDS = 2.0  # between passes where nothing changes
BACKOFF_SECONDS = (0.5, 30.0)  # the first and the longest, after a pass that failed


class Controller:
    """The controller that keeps every deployment as the registry wants it.

    Args:
        context: The services that passes read from and act on.
        make_watch: Builds the watch on the registry, given the callback for changes.
        metrics: Counts and durations of passes.
    """

    def __init__(
        self,
        context: ReconcileContext,
        make_watch: Callable[[Callable[[set[str] | None], None]], Watch],
        metrics: Metrics,
    ) -> None:
        self.context = context
        self.metrics = metrics
        self._closing = threading.Event()
        self._reconciler = Reconciler(context, self._closing, self.invalid)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._keys: dict[str, Key] = {}
        self._statuses: dict[str, Status] = {}
        self._tries: dict[Key, int] = {}
        self._without_pass: set[Key] = set()
        self._scope = Scope(context, lambda: self.health.held or {})
        self.watch = make_watch(self._changed)
        self._watching = threading.Thread(target=self.watch.run, name="watch", daemon=True)
        self._workers: Workers[Key] = Workers(self._queue, self._work, self._hangs)

    def start(self) -> None:
        """Start; passes over deployments on record begin even before the registry is read."""
        self._without_pass = self._scope.all()
        self._changed(None)
        self._watching.start()
        self._workers.start()

    def close(self, seconds: float = 3.0) -> None:
        """Stop within `seconds`; predictors go on running, and passes that hang are abandoned."""
        deadline = time.monotonic() + seconds
        self._closing.set()
        self.watch.close()
        self._workers.close(seconds)
        if self._watching.is_alive():  # it was never started if this Deployer only stood by
            self._watching.join(timeout=max(0.0, deadline - time.monotonic()))

    def has_synced(self) -> bool:
        """Return whether every deployment known at the start has had a pass since."""
        return not self._without_pass

    @property
    def health(self) -> Health:
        """The health of the registry."""
        return self.watch.health

    def statuses(self) -> list[Status]:
        """Return the status of every deployment."""
        found = self._statuses.copy().values()  # a pass may add one
        return sorted(found, key=lambda status: (status.record.model, status.record.environment))

    def invalid(self) -> frozenset[str]:
        """Return the ids of the deployments whose serving spec cannot be used."""
        return frozenset(s.record.id for s in self._statuses.copy().values() if s.invalid)

    def status(self, deployment: str) -> Status:
        """Return the status of a deployment, by its id.

        Raises:
            NotFound: No deployment has this id.
        """
        status = self._statuses.get(deployment)
        if status is None:
            raise NotFound(f"There is no deployment {deployment!r}.", "schnitzel deploy list")
        return status

    def preview(self, deployment: str) -> tuple[Status, Preview]:
        """Return the status with a current plan, and the changes that it would make in the target.

        Raises:
            NotFound: No deployment has this id.
            SchnitzelError: The target cannot be observed now, or the goal cannot be rendered.
        """
        status = self.status(deployment)
        record = status.record
        registry = self.context.registry
        if self.health.state is RegistryHealth.FRESH:  # else a request would wait for MLflow
            with suppress(SchnitzelError, RegistryRolledBack):  # the watch reports it, too
                self._changed(registry.poll() | registry.refresh(record.model))
        plan, rendered = self._reconciler.preview(self._key(deployment))
        return replace(status, plan=plan), rendered

    def resync(self) -> None:
        """List the registry and run a pass over every deployment now."""
        self.watch.hint(None)
        self._changed(None)

    def enqueue(self, deployment: str) -> None:
        """Run a pass over a deployment now, because its target reported a change."""
        with suppress(NotFound):
            self._queue.add(self._key(deployment))

    def depth(self) -> int:
        """Return the number of deployments whose pass is due and has not begun."""
        return self._queue.depth()

    def change(self, deployment: str, change: Callable[[Record], Record], event: Event) -> None:
        """Change the record of a deployment between two passes, and run a pass now.

        Args:
            deployment: The deployment's id.
            change: Returns the changed record.
            event: The event that the history gets before the record changes.

        Raises:
            NotFound: No deployment has this id.
            PassHangs: The pass under way does not end.
        """
        key = self._key(deployment)
        records = self.context.records
        with self._reconciler.exclusive(key, REQUEST_SECONDS):
            record = records.load(deployment, key.environment) or Record(*key)
            changed = change(record)
            records.raise_if_deleted(record)
            self.context.history.append(event, self.context.clock())
            records.save(changed)
            if known := self._statuses.get(deployment):
                self._statuses[deployment] = replace(known, record=changed)
        self._queue.add(key)

    def _key(self, deployment: str) -> Key:
        key = self._keys.get(deployment)
        if key is None:
            raise NotFound(f"There is no deployment {deployment!r}.", "schnitzel deploy list")
        return key

    def _add(self, key: Key) -> None:
        self._keys[key.id] = key
        self._queue.add(key)

    def _changed(self, models: set[str] | None) -> None:
        """Queue passes over the deployments of these models; None queues all deployments."""
        known = set(self._keys.copy().values())
        self.context.promoters.note(self.context.registry.snapshot, self.context.clock())
        due = known | self._scope.all() if models is None else self._scope.of(models, known)
        for key in due:
            self._add(key)

    def _work(self, key: Key) -> float:
        delay = self._pass(key)
        self._without_pass.discard(key)
        return delay

    def _hangs(self, key: Key) -> None:
        """Publish that the pass over a deployment does not end; no other pass waits for it."""
        error = PassHangs.of(key.model, key.environment)
        log.warning("%s@%s: %s", key.model, key.environment, error.message)
        before = self._statuses.get(key.id)
        self._statuses[key.id] = self._reconciler.hanging_status(key, before, error)
        self._without_pass.discard(key)

    def _pass(self, key: Key) -> float:
        """Run a pass over a deployment; returns the seconds until the next pass."""
        if key.environment not in self._scope.environments():
            self._statuses.pop(key.id, None)
            return 30.0
        with self.metrics.passes.time(), self._reconciler.exclusive(key):
            done = self._reconciler.run(key, self._statuses.get(key.id))
            self._statuses[key.id] = done.status
        if done.error:
            pause = self._failed(key, done.error)
            if is_transient(done.error):
                again = self.context.clock() + pause
                self._statuses[key.id] = replace(done.status, retry_at=again)
            return pause
        self._tries.pop(key, None)
        if not done.status.settled:
            return MOVING_SECONDS
        steady = STEADY_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
        if done.wake_at is None:
            return steady
        return max(0.0, min(steady, done.wake_at - self.context.clock()))

    def _failed(self, key: Key, error: SchnitzelError) -> float:
        """Log and count a failed pass; returns the seconds until the next pass."""
        if self._closing.is_set():  # the services of the pass are being closed
            return 0.0
        if isinstance(error, PassFailed):
            log.error("%s@%s: a pass failed", *key[1:], exc_info=error.__cause__)
        else:
            log.warning("%s@%s: %s", *key[1:], error.message)
        self.metrics.failures.inc()
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        first, most = BACKOFF_SECONDS
        pause: float = min(most, first * 2.0 ** min(tries - 1, 20))
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
