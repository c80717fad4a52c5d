"""In: one deployment's name. Out: one pass over it: look, decide, remember, act, tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from deployer import account, desired, naming, plan, rollout, status
from deployer.errors import SchnitzelError, UnsafePlan
from deployer.history import History
from deployer.marker import Marker
from deployer.mirror import Mirror
from deployer.reading import Reading
from deployer.records import Records
from deployer.registry import Registry
from deployer.settings import Settings
from deployer.state import Observed, Record, Wanted
from deployer.status import Status
from deployer.targets.base import Target


@dataclass(frozen=True, slots=True)
class World:
    """All that a pass reads from and acts on."""

    settings: Settings
    registry: Registry
    reading: Reading
    marker: Marker
    records: Records
    history: History
    mirror: Mirror
    targets: Mapping[str, Target]
    clock: Callable[[], float]


class Reconciler:
    """Passes over deployments. One deployment is never passed over twice at the same time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._rolling: set[str] = set()
        self._lock = threading.Lock()
        self._alone: dict[tuple[str, str], threading.Lock] = {}

    def alone(self, key: tuple[str, str]) -> threading.Lock:
        """The lock of one deployment's record: held for a pass, or to put in a person's word."""
        with self._lock:
            return self._alone.setdefault(key, threading.Lock())

    def run(
        self, model: str, environment: str, before: Status | None, reviewed: str = ""
    ) -> tuple[Status, float | None]:
        """One pass. Returns what to tell of the deployment, and when to look again.

        Raises:
            SchnitzelError: Nothing was decided; what runs goes on running.
        """
        world = self.world
        target = world.targets[world.settings.environments[environment].target]
        policy = world.settings.rollout_policy(environment)
        key = naming.deployment_id(model, environment)
        remembered = world.records.load(key) or Record(key, model, environment)
        observed = target.observe(key)
        record, wanted = self._decide(remembered, observed)
        frozen = bool(world.marker.frozen)
        now = world.clock()
        step, todo = self._next(wanted, observed, record, now, hold=frozen)
        refused: UnsafePlan | None = None
        try:
            plan.raise_if_unsafe(todo, record, self._retirements(now), policy, reviewed)
        except UnsafePlan as error:
            refused, wanted = error, replace(wanted, retire=False)
            step, _ = self._next(wanted, observed, record, now, hold=True)
        account.intend(world.history, remembered, step.record, wanted, now)
        world.records.save(step.record)
        self._note_rolling(step.record)
        target.apply(step.deployment, observed)
        if record.pause:  # show what would be done
            _, todo = self._next(wanted, observed, replace(record, pause=None), now)
        told = Status(
            verdict=status.judge(step.record, wanted, observed, step.waiting, refused),
            sync=status.sync(step.record, wanted, frozen=frozen),
            record=step.record,
            wanted=wanted,
            observed=observed,
            url=target.url(model, environment),
            target=target.name,
            changed_at=now,
            settled=step.settled,
            plan=plan.describe(todo, refused),
        )
        told = status.carry(told, before)
        account.conclude(world.history, world.mirror, remembered, told, before, now)
        return told, step.wake_at if step.settled else now

    def _next(
        self, wanted: Wanted, observed: Observed, record: Record, now: float, *, hold: bool = False
    ) -> tuple[rollout.Step, plan.Plan]:
        """The next step of the rollout, and the plan that it amounts to."""
        policy = self.world.settings.rollout_policy(record.environment)
        may_start = self._may_start(record)
        step = rollout.advance(
            wanted, observed, record, policy, now, may_start=may_start, hold=hold
        )
        retiring = wanted.retire and step.record.retired_at == now
        return step, plan.make(observed, step.deployment, step.record, retiring=retiring)

    def _decide(self, record: Record, observed: Observed) -> tuple[Record, Wanted]:
        world = self.world
        environment = record.environment
        snapshot = world.registry.snapshot
        problem = None
        now = world.clock()
        if snapshot and not world.marker.frozen:
            live = max(observed.predictors.values(), key=lambda p: p.live_weight, default=None)
            serving = live.predictor.version if live and live.live_weight else None
            selector = world.settings.selector(environment)
            record = desired.see(record, snapshot, selector, now, serving)
            record, problem = world.reading.read(record, snapshot, now)
        layers = world.settings.layers(environment)
        policy = world.settings.rollout_policy(environment)
        wanted = desired.want(record, layers, world.settings.limits, policy, now)
        return record, replace(wanted, problem=wanted.problem or problem)

    def _may_start(self, record: Record) -> bool:
        with self._lock:
            others = self._rolling - {record.id}
            return len(others) < self.world.settings.limits.parallel_rollouts

    def _note_rolling(self, record: Record) -> None:
        with self._lock:
            if record.candidate:
                self._rolling.add(record.id)
            else:
                self._rolling.discard(record.id)

    def _retirements(self, now: float) -> plan.Retirements:
        window = self.world.settings.policy.retire_window
        going = deployments = 0
        for record in self.world.records.all():
            recent = record.retired_at is not None and now - record.retired_at < window
            serves = record.serving is not None
            deployments += serves or recent
            going += recent or (serves and record.absence is not None)
        return plan.Retirements(going, deployments)


def broken(before: Status | None, error: SchnitzelError) -> Status | None:
    """What to tell of a deployment that could not be passed over."""
    if before is None:
        return None
    reason = getattr(error, "reason", type(error).__name__)
    verdict = status.Verdict(status.State.FAILED, reason, error.message, error.hint)
    return replace(before, verdict=verdict, settled=True)
