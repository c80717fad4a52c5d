"""Run passes over deployments on changes, on timers and on operators' requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from deployer.background.queue import NOW, Turn, WorkQueue
from deployer.background.workers import Workers
from deployer.controller import pace
from deployer.controller.context import ReconcileContext
from deployer.controller.metrics import Metrics
from deployer.controller.reconcile import Reconciler
from deployer.controller.scope import Key, Scope
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
        self._listed_at: float | None = None
        self._pace = pace.Pace(context.clock)
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
        if key := self._keys.get(deployment):  # else the next listing finds it
            self._queue.add(key)

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

    def _changed(self, models: set[str] | None) -> None:
        """Queue passes over the deployments of these models; None queues all deployments.

        A listing also concerns the models that were asked for by name along with it, whose absence
        it counts, and deployments that were not known before.
        """
        known, snapshot = set(self._keys.copy().values()), self.context.registry.snapshot
        self.context.promoters.note(snapshot, self.context.clock())
        listed = snapshot is not None and snapshot.listed_at != self._listed_at
        self._listed_at = snapshot.listed_at if snapshot else None
        if models is None:
            self._wake(known | self._scope.all(), pace.EVENTUALLY)
            return
        due = self._scope.of(models | snapshot.asked if snapshot and listed else models, known)
        if listed:
            due |= self._scope.all() - known
        self._wake(due, NOW)

    def _wake(self, keys: Iterable[Key], turn: Turn) -> None:
        for key in keys:
            self._keys[key.id] = key
            self._queue.add(key, turn)

    def _work(self, key: Key) -> Turn:
        turn = self._pass(key)
        self._without_pass.discard(key)
        return turn

    def _hangs(self, key: Key) -> None:
        """Publish that the pass over a deployment does not end; no other pass waits for it."""
        error = PassHangs.of(key.model, key.environment)
        log.warning("%s@%s: %s", key.model, key.environment, error.message)
        before = self._statuses.get(key.id)
        self._statuses[key.id] = self._reconciler.hanging_status(key, before, error)
        self._without_pass.discard(key)

    def _pass(self, key: Key) -> Turn:
        """Run a pass over a deployment; returns when the next pass is due."""
        if key.environment not in self._scope.environments():
            self._statuses.pop(key.id, None)
            return pace.resync()
        with self.metrics.passes.time(), self._reconciler.exclusive(key):
            before = self._statuses.get(key.id)
            done = self._reconciler.run(key, before)
            self._statuses[key.id] = done.status
        self.metrics.note(before, done.status)
        turn = self._pace.after(key, done)
        if done.error:
            self._note_failure(key, done.error, self.context.clock() + turn.delay)
        return turn

    def _note_failure(self, key: Key, error: SchnitzelError, again: float) -> None:
        """Log and count a failed pass, and show when it is tried again."""
        if self._closing.is_set():  # the services of the pass are being closed
            return
        if isinstance(error, PassFailed):
            log.error("%s@%s: a pass failed", *key[1:], exc_info=error.__cause__)
        else:
            log.warning("%s@%s: %s", *key[1:], error.message)
        self.metrics.failures.inc()
        if is_transient(error):
            self._statuses[key.id] = replace(self._statuses[key.id], retry_at=again)
