"""In: changes, times and people's words. Out: passes over deployments, each by itself, for ever."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from deployer import desired, naming
from deployer.errors import NotFound, PlanChanged, SchnitzelError, UnsafePlan
from deployer.history import Event
from deployer.metrics import Metrics
from deployer.reconcile import Reconciler, World, broken
from deployer.state import Pause, Record
from deployer.status import Status
from deployer.watch import Health, Watch
from deployer.workqueue import WorkQueue

log = logging.getLogger(__name__)

Key = tuple[str, str]  # model, environment

WORKERS = 8
MOVING_SECONDS = 0.1  # between looks while a rollout is under way
STEADY_SECONDS = 2.0  # between looks at what runs, where nothing changes
BACKOFF_SECONDS = (0.5, 30.0)  # the first and the longest, after a pass that failed


class Controller:
    """Keeps every deployment as the registry wants it.

    Args:
        world: What passes read from and act on.
        watch: Looks at the registry; made by `make_watch` with the callback for changes.
        metrics: Counts and times.
    """

    def __init__(
        self,
        world: World,
        make_watch: Callable[[Callable[[set[str] | None], None]], Watch],
        metrics: Metrics,
    ) -> None:
        self.world = world
        self.metrics = metrics
        self._reconciler = Reconciler(world)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._statuses: dict[Key, Status] = {}
        self._tries: dict[Key, int] = {}
        self.watch = make_watch(self._changed)
        self._threads = [threading.Thread(target=self.watch.run, name="watch", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work, name=f"worker-{i}", daemon=True)
            for i in range(WORKERS)
        ]

    def start(self) -> None:
        """Begin; what is on record is looked at even before the registry is read."""
        self._changed(None)
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float = 4.0) -> None:
        """Stop within so many seconds; what runs goes on running."""
        deadline = time.monotonic() + seconds
        self.watch.close()
        self._queue.close()
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    @property
    def health(self) -> Health:
        """How well the registry is seen."""
        return self.watch.health

    def statuses(self) -> list[Status]:
        """What is known of every deployment."""
        return [status for _, status in sorted(self._statuses.items())]

    def status(self, deployment: str) -> Status:
        """What is known of one deployment, by its id.

        Raises:
            NotFound: There is none of this id.
        """
        key = self._key(deployment)
        status = self._statuses.get(key)
        if status is None:
            raise NotFound(f"There is no deployment {deployment!r}.", "schnitzel deploy list")
        return status

    def apply(
        self, deployment: str, who: str, *, reviewed: str, retry: bool, allow_retire: bool
    ) -> None:
        """A person's word: look now, try again, or let the champion go.

        Raises:
            NotFound: There is no such deployment.
            PlanChanged: Another plan was reviewed than the one that stands.
            UnsafePlan: It is paused.
        """
        status = self.status(deployment)
        if status.record.pause:
            raise UnsafePlan(
                f"{deployment} is paused by {status.record.pause.by}.",
                f"schnitzel deploy resume {status.record.model} -e {status.record.environment}",
            )
        if reviewed and reviewed != status.plan["digest"]:
            raise PlanChanged(
                f"The plan for {deployment} has changed since it was reviewed.",
                f"schnitzel deploy plan {status.record.model} -e {status.record.environment}",
            )

        def change(record: Record) -> Record:
            if retry:
                record = replace(record, failures={}, descriptions={})
            if allow_retire:
                record = replace(record, allow_retire=True)
            return record

        detail = ", ".join(w for w, on in [("retry", retry), ("allow retire", allow_retire)] if on)
        self._intervene(deployment, change, "apply", who, detail)

    def pause(self, deployment: str, who: str, reason: str) -> None:
        """A person's word: change nothing."""
        pause = Pause(who, self.world.clock(), reason)
        self._intervene(deployment, lambda r: replace(r, pause=pause), "pause", who, reason)

    def resume(self, deployment: str, who: str) -> None:
        """A person's word: go on."""
        self._intervene(deployment, lambda r: replace(r, pause=None), "resume", who, "")

    def accept_registry(self, who: str) -> None:
        """A person's word: this registry is the right one."""
        self.world.marker.accept()
        self.world.registry.forget()
        event = Event("", "operator", "accept registry", None, None, "", who)
        self.world.history.append(event, self.world.clock())
        self.watch.hint(None)

    def look(self) -> None:
        """Look at everything now."""
        self.watch.hint(None)
        self._changed(None)

    def depth(self) -> int:
        """How many deployments are due and not yet looked at."""
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
        with self._reconciler.alone(key):
            record = self.world.records.load(deployment) or Record(deployment, *key)
            event = Event(deployment, "operator", action, None, None, "a person asked", who, detail)
            self.world.history.append(event, self.world.clock())
            self.world.records.save(change(record))
        self._queue.add(key)

    def _changed(self, models: set[str] | None) -> None:
        """Have the deployments of these models looked at, or all of them."""
        if models is not None:
            for environment in self._ours():
                for model in models:
                    if self._concerns(model, environment):
                        self._queue.add((model, environment))
            return
        for key in self._known():
            self._queue.add(key)

    def _concerns(self, model: str, environment: str) -> bool:
        if (model, environment) in self._statuses:
            return True
        snapshot = self.world.registry.snapshot
        if snapshot is None or not self.world.settings.models.serves(model):
            return False
        selector = self.world.settings.selector(environment)
        return bool(desired.promotions(snapshot.models.get(model), selector))

    def _known(self) -> set[Key]:
        known: set[Key] = set(self._statuses)
        known |= {(r.model, r.environment) for r in self.world.records.all()}
        for target in self.world.targets.values():
            known |= target.deployments()
        ours = self._ours()
        snapshot = self.world.registry.snapshot
        for environment in ours if snapshot else ():
            assert snapshot is not None  # noqa: S101 - there is no environment to loop over else
            selector = self.world.settings.selector(environment)
            names = desired.promoted_models(snapshot, selector)
            known |= {(n, environment) for n in names if self.world.settings.models.serves(n)}
        return {(model, environment) for model, environment in known if environment in ours}

    def _ours(self) -> list[str]:
        held = self.health.held or {}
        return [name for name in self.world.settings.environments if name not in held]

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                delay = self._pass(key)
            finally:
                self._queue.done(key)
            self._queue.add(key, delay)

    def _pass(self, key: Key) -> float:
        """One pass; returns the seconds until the next."""
        if key[1] not in self._ours():
            self._statuses.pop(key, None)
            return 30.0
        try:
            with self.metrics.passes.time(), self._reconciler.alone(key):
                status, wake_at = self._reconciler.run(*key, self._statuses.get(key))
        except Exception as error:  # noqa: BLE001 - one broken deployment must not end the others
            return self._failed(key, error)
        self._tries.pop(key, None)
        self._statuses[key] = status
        if not status.settled:
            return MOVING_SECONDS
        steady = STEADY_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, no secret
        if wake_at is None:
            return steady
        return max(0.0, min(steady, wake_at - self.world.clock()))

    def _failed(self, key: Key, error: Exception) -> float:
        if isinstance(error, SchnitzelError):
            log.warning("%s@%s: %s", *key, error.message)
        else:
            log.error("%s@%s: a pass failed", *key, exc_info=error)
            error = SchnitzelError(
                f"A pass over this deployment failed: {type(error).__name__}.",
                "Its traceback is in the Deployer's log.",
            )
        self.metrics.failures.inc()
        told = broken(self._statuses.get(key), error)
        if told:
            self._statuses[key] = told
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        first, most = BACKOFF_SECONDS
        pause: float = min(most, first * 2.0 ** min(tries - 1, 20))
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
