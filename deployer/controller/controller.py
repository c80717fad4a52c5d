"""Run passes over deployments on changes, on timers and on operators' requests."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from deployer import hints, naming
from deployer.controller import operator
from deployer.controller.context import ReconcileContext
from deployer.controller.metrics import Metrics
from deployer.controller.operator import ApplyOptions
from deployer.controller.queue import WorkQueue
from deployer.controller.reconcile import Reconciler
from deployer.controller.scope import Key, Scope
from deployer.controller.workers import Workers
from deployer.errors import (
    NotFound,
    PassFailed,
    PassHangs,
    PlanChanged,
    SchnitzelError,
    UnsafePlan,
    is_transient,
)
from deployer.plan.preview import Node, ObjectChange, Preview
from deployer.registry.snapshot import RegistryRolledBack
from deployer.registry.watch import Health, Watch
from deployer.state.reasons import RegistryHealth
from deployer.state.record import Pause, Record
from deployer.status.verdict import Status
from deployer.store.history import Event
from deployer.targets.base import HasTree

log = logging.getLogger(__name__)

WORD_SECONDS = 5.0  # that an operator's request waits for the pass under way
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
        self._reconciler = Reconciler(context, self._closing)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._statuses: dict[Key, Status] = {}
        self._tries: dict[Key, int] = {}
        self._without_pass: set[Key] = set()
        self._scope = Scope(context, lambda: self.health.held or {})
        self.watch = make_watch(self._changed)
        self._watching = threading.Thread(target=self.watch.run, name="watch", daemon=True)
        self._workers: Workers[Key] = Workers(self._queue, self._work, self._hangs)

    def start(self) -> None:
        """Start; passes over deployments on record begin even before the registry is read."""
        self._without_pass = self._scope.everything()
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

    def has_looked(self) -> bool:
        """Return whether every deployment known at the start has had a pass since."""
        return not self._without_pass

    @property
    def health(self) -> Health:
        """The health of the registry."""
        return self.watch.health

    def statuses(self) -> list[Status]:
        """Return the status of every deployment."""
        return [status for _, status in sorted(self._statuses.copy().items())]  # a pass may add one

    def status(self, deployment: str) -> Status:
        """Return the status of a deployment, by its id.

        Raises:
            NotFound: No deployment has this id.
        """
        key = self._key(deployment)
        status = self._statuses.get(key)
        if status is None:
            raise NotFound(f"There is no deployment {deployment!r}.", "schnitzel deploy list")
        return status

    def planned(self, deployment: str) -> Status:
        """Return the status of a deployment with a current plan, after a poll of the registry.

        If the target cannot be observed, the plan is that of the last pass, which has no digest.

        Raises:
            NotFound: No deployment has this id.
        """
        with suppress(SchnitzelError):  # the status reports the error
            return self.previewed(deployment)[0]
        return self.status(deployment)

    def previewed(self, deployment: str) -> tuple[Status, Preview]:
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
                self._changed(registry.poll() | registry.look(record.model))
        plan, rendered = self._reconciler.preview(record.model, record.environment)
        return replace(status, plan=plan), rendered

    def tree(self, deployment: str) -> Node:
        """Return the tree of a deployment's objects in its target.

        Raises:
            NotFound: No deployment has this id, or its target shows no objects.
            TargetUnavailable: The target cannot be observed now.
        """
        record = self.status(deployment).record
        target = self.context.targets[record.environment]
        if not isinstance(target, HasTree):
            raise NotFound(
                f"The target {target.name} does not show the objects of a deployment.",
                hints.deploy("status", record),
            )
        return target.tree(record.id)

    def apply(self, deployment: str, who: str, options: ApplyOptions) -> None:
        """Apply for an operator: run a pass now, and retry, allow retirement or adopt objects.

        Raises:
            NotFound: No deployment has this id.
            PlanChanged: The current plan is not the reviewed plan.
            UnsafePlan: The deployment is paused, or there is no object to adopt.
        """
        status = self.status(deployment)
        if status.record.pause:
            raise UnsafePlan(
                f"{deployment} is paused by {status.record.pause.by}.",
                hints.deploy("resume", status.record),
            )
        foreign: tuple[ObjectChange, ...] = ()
        if options.reviewed or options.adopt:
            status, rendered = self.previewed(deployment)
            foreign = rendered.foreign if options.adopt else ()
        if options.reviewed and options.reviewed != status.plan["digest"]:
            raise PlanChanged(
                f"The plan for {deployment} has changed since it was reviewed.",
                f"Look again: {hints.deploy('plan', status.record)}",
            )
        if options.adopt and not foreign:
            raise UnsafePlan(
                f"Nothing stands in the way of {deployment}: there is nothing to take over.",
                hints.deploy("diff", status.record),
            )

        def change(record: Record) -> Record:
            return operator.keep(record, options, foreign)

        self._intervene(deployment, change, "apply", who, operator.said(options, foreign))

    def pause(self, deployment: str, who: str, reason: str) -> None:
        """Pause a deployment for an operator: change nothing."""
        pause = Pause(who, self.context.clock(), reason)
        self._intervene(deployment, lambda r: replace(r, pause=pause), "pause", who, reason)

    def resume(self, deployment: str, who: str) -> None:
        """Resume a paused deployment for an operator."""
        self._intervene(deployment, lambda r: replace(r, pause=None), "resume", who, "")

    def accept_registry(self, who: str) -> None:
        """Accept the registry for an operator as the right one."""
        event = Event("", "operator", "accept registry", None, None, "", who)
        self.context.history.append(event, self.context.clock())  # even if MLflow is unreachable
        self.context.identity.accept()
        self.context.registry.forget()
        self.watch.hint(None)

    def look(self) -> None:
        """List the registry and run a pass over every deployment now."""
        self.watch.hint(None)
        self._changed(None)

    def touched(self, deployment: str) -> None:
        """Run a pass over a deployment now, because its target reported a change."""
        with suppress(NotFound):
            self._queue.add(self._key(deployment))

    def depth(self) -> int:
        """Return the number of deployments whose pass is due and has not begun."""
        return self._queue.depth()

    def _key(self, deployment: str) -> Key:
        for model, environment in set(self._statuses):
            if naming.deployment_id(model, environment) == deployment:
                return model, environment
        raise NotFound(f"There is no deployment {deployment!r}.", "schnitzel deploy list")

    def _intervene(
        self,
        deployment: str,
        change: Callable[[Record], Record],
        action: str,
        who: str,
        detail: str,
    ) -> None:
        key = self._key(deployment)
        with self._reconciler.alone(key, WORD_SECONDS):
            record = self.context.records.load(deployment, key[1]) or Record(deployment, *key)
            if action == "apply":
                self.context.records.allow(deployment, key[1])
            self.context.records.raise_if_deleted(record)
            event = Event(deployment, "operator", action, None, None, "a person asked", who, detail)
            self.context.history.append(event, self.context.clock())
            self.context.records.save(changed := change(record))
            if known := self._statuses.get(key):
                self._statuses[key] = replace(known, record=changed)
        self._queue.add(key)

    def _changed(self, models: set[str] | None) -> None:
        """Queue passes over the deployments of these models; None queues all deployments."""
        known = set(self._statuses)
        self.context.promoters.note(self.context.registry.snapshot, self.context.clock())
        due = known | self._scope.everything() if models is None else self._scope.of(models, known)
        for key in due:
            self._queue.add(key)

    def _work(self, key: Key) -> float:
        delay = self._pass(key)
        self._without_pass.discard(key)
        return delay

    def _hangs(self, key: Key) -> None:
        """Publish that the pass over a deployment does not end; no other pass waits for it."""
        error = PassHangs.of(*key)
        log.warning("%s@%s: %s", *key, error.message)
        self._statuses[key] = self._reconciler.hanging(*key, self._statuses.get(key), error)
        self._without_pass.discard(key)

    def _pass(self, key: Key) -> float:
        """Run a pass over a deployment; returns the seconds until the next pass."""
        if key[1] not in self._scope.environments():
            self._statuses.pop(key, None)
            return 30.0
        with self.metrics.passes.time(), self._reconciler.alone(key):
            done = self._reconciler.run(*key, self._statuses.get(key))
            self._statuses[key] = done.status
        if done.error:
            pause = self._failed(key, done.error)
            if is_transient(done.error):
                again = self.context.clock() + pause
                self._statuses[key] = replace(self._statuses[key], retry_at=again)
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
            log.error("%s@%s: a pass failed", *key, exc_info=error.__cause__)
        else:
            log.warning("%s@%s: %s", *key, error.message)
        self.metrics.failures.inc()
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        first, most = BACKOFF_SECONDS
        pause: float = min(most, first * 2.0 ** min(tries - 1, 20))
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
