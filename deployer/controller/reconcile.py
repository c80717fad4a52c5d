"""Run a pass over a deployment: observe, decide, save, apply, publish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from deployer import naming
from deployer.controller import events
from deployer.controller.context import ReconcileContext, halted, upgrading
from deployer.controller.publish import PassResult, Publisher
from deployer.controller.retirements import RetirementBudget
from deployer.desired import promotions
from deployer.desired.wanted import want
from deployer.errors import PassFailed, PassHangs, SchnitzelError, UnsafePlan
from deployer.plan import plan
from deployer.plan.preview import Preview
from deployer.rollout import advance, upgrade
from deployer.state.deployment import Policy, Wanted
from deployer.state.observed import Observed
from deployer.state.record import Record
from deployer.status import verdict
from deployer.status.verdict import Status
from deployer.targets.base import Target

PREVIEW_SECONDS = 5.0
"""How long a preview waits for the description of a version that was just promoted."""

UPGRADE_SECONDS = 1.0
"""How long the upgrade that is planned from all records is valid."""


EARLY_SECONDS = 0.5
"""The latest time of the next pass after a pass that came too early, for the target's report of a
change may be lost."""


class _Early(Exception):  # noqa: N818 - no error
    """The target still reads what this pass needs, and will report a change."""


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """An observation of a deployment, and the decisions that follow from it."""

    observed: Observed
    wanted: Wanted
    step: advance.Step
    todo: plan.Plan
    refused: UnsafePlan | None
    unusable: bool
    """Whether the serving spec of the promoted version cannot be used."""
    now: float


@dataclass(frozen=True, slots=True)
class Pass:
    """The outcome of a pass: its status, the latest time of the next pass, and any error."""

    status: Status
    wake_at: float | None = None
    error: SchnitzelError | None = None


class Reconciler:
    """A runner of passes, which never runs two passes over one deployment at the same time."""

    def __init__(self, context: ReconcileContext, closing: threading.Event) -> None:
        self.context = context
        self._publisher = Publisher(context, closing)
        self._failing: dict[str, float] = {}
        self._rolling: set[str] = set()
        self._upgrading = (0.0, False, upgrade.Upgrade())
        window = context.settings.policy.retire_window
        self._retirement_budget = RetirementBudget(context.records.all, window)
        self._lock = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    @contextmanager
    def alone(self, key: tuple[str, str], seconds: float = -1) -> Iterator[None]:
        """Hold the lock of a deployment's record, for a pass or for an operator's request.

        Raises:
            PassHangs: The lock was not free within `seconds`.
        """
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=seconds):
            raise PassHangs.of(*key)
        try:
            yield
        finally:
            lock.release()

    def run(self, model: str, environment: str, before: Status | None) -> Pass:
        """Run a pass; an error is part of the outcome, and predictors go on running.

        Args:
            model: The registered model.
            environment: The environment's name.
            before: The status published last.
        """
        began = self.context.clock()
        key = naming.deployment_id(model, environment)
        record, found = Record(key, model, environment), None
        try:
            record = self._record(model, environment)
            found = self._decide_and_save(record)
            self._target(environment).apply(found.step.deployment, found.status.observed)
            status = self._publisher.publish(found, before)
        except _Early:
            known = before or self._publisher.unknown(record, began)
            return Pass(known, wake_at=began + EARLY_SECONDS)
        except Exception as failure:  # noqa: BLE001 - one broken deployment must not end the others
            error = _as_schnitzel_error(failure, model, environment)
            since = self._failing.setdefault(key, began)
            return Pass(
                self._publisher.publish_failure(record, found, before, error, since), error=error
            )
        self._failing.pop(key, None)
        problem = status.wanted.problem
        times = (found.step.wake_at, problem.retry_at if problem else None)
        return Pass(status, wake_at=min((at for at in times if at is not None), default=None))

    def hanging(
        self, model: str, environment: str, before: Status | None, error: PassHangs
    ) -> Status:
        """Build the status of a deployment whose pass does not end."""
        now = self.context.clock()
        nobody = Record(naming.deployment_id(model, environment), model, environment)
        return verdict.broken(before or self._publisher.unknown(nobody, now), error, now)

    def preview(self, model: str, environment: str) -> tuple[dict[str, Any], Preview]:
        """Plan and render a pass as of now, without saving or applying anything.

        Raises:
            SchnitzelError: The target cannot be observed, or the goal cannot be rendered.
        """
        target = self._target(environment)
        seen = self._evaluate(self._record(model, environment), target, acts=False)
        rendered = target.preview(seen.todo.goal)
        return plan.reviewable(seen.todo, seen.refused, rendered), rendered

    def _decide_and_save(self, remembered: Record) -> PassResult:
        """Observe, decide, and save the decision."""
        context = self.context
        target = self._target(remembered.environment)
        seen = self._evaluate(remembered, target, acts=True)
        step, now = seen.step, seen.now
        note = context.invalid.add if seen.unusable else context.invalid.discard
        note(remembered.id)
        context.records.raise_if_deleted(step.record)  # before the history says that it is created
        events.record_intent(context.history, remembered, step.record, seen.wanted, now)
        context.records.save(step.record)
        context.promoters.settle(step.record, remembered.next_sequence, now)
        self._note_rolling(step.record)
        frozen = bool(context.identity.frozen)
        known = seen.wanted.champion or seen.wanted.problem
        reading = seen.wanted.version is not None and not known and not frozen
        status = Status(
            verdict=verdict.judge(
                step.record, seen.wanted, seen.observed, step.waiting, seen.refused
            ),
            sync=verdict.sync(step.record, seen.wanted, frozen=frozen),
            record=step.record,
            wanted=seen.wanted,
            observed=seen.observed,
            url=target.url(step.record.model, step.record.environment),
            target=target.name,
            changed_at=now,
            settled=step.settled and not reading,
            plan=plan.describe(seen.todo, seen.refused),
        )
        return PassResult(remembered, step, status)

    def _evaluate(self, record: Record, target: Target, *, acts: bool) -> _Evaluation:
        """Observe a deployment and decide the wanted predictor, the next step and the safe plan.

        A retirement counts for the other deployments only if the caller `acts` on the decision.
        """
        context = self.context
        policy = context.settings.rollout_policy(record.environment)
        observed = target.observe(record.id)
        if acts and observed.awaits:
            raise _Early(observed.awaits)
        wait = 0.0 if acts else PREVIEW_SECONDS
        record, wanted, unusable = self._decide(record, observed, wait)
        frozen = bool(context.identity.frozen)
        now = context.clock()
        step, todo = self._next(wanted, observed, record, now, hold=frozen)
        refused: UnsafePlan | None = None
        try:
            leaving = self._retirements(todo, record, policy, now, acts=acts)
            plan.raise_if_unsafe(todo, record, leaving, policy)
        except UnsafePlan as error:
            refused, wanted = error, replace(wanted, retire=False)
            step, _ = self._next(wanted, observed, record, now, hold=True)
        if record.pause:  # the plan shows the changes after a resume
            _, todo = self._next(wanted, observed, replace(record, pause=None), now)
        return _Evaluation(observed, wanted, step, todo, refused, unusable, now)

    def _record(self, model: str, environment: str) -> Record:
        key = naming.deployment_id(model, environment)
        return self.context.records.load(key, environment) or Record(key, model, environment)

    def _target(self, environment: str) -> Target:
        return self.context.targets[environment]

    def _next(
        self, wanted: Wanted, observed: Observed, record: Record, now: float, *, hold: bool = False
    ) -> tuple[advance.Step, plan.Plan]:
        """Decide the next step of the rollout, and the plan that contains the step."""
        policy = self.context.settings.rollout_policy(record.environment)
        may_start = self._may_start(record)
        step = advance.advance(
            wanted, observed, record, policy, now, may_start=may_start, hold=hold
        )
        retiring = wanted.retire and step.record.retired_at == now
        goal = plan.goal(wanted, observed, step.deployment, step.record, step.waiting)
        return step, plan.make(observed, goal, retiring=retiring)

    def _decide(
        self, record: Record, observed: Observed, wait: float
    ) -> tuple[Record, Wanted, bool]:
        context = self.context
        sequence = record.next_sequence
        environment = record.environment
        snapshot = context.registry.snapshot
        problem = None
        now = context.clock()
        if snapshot and not context.identity.frozen:
            live = max(observed.predictors.values(), key=lambda p: p.live_weight, default=None)
            serving = live.predictor.version if live and live.live_weight else None
            selector = context.settings.selector(environment)
            record = promotions.see(record, snapshot, selector, now, serving)
            record = context.promoters.sign(record, sequence, snapshot, now)
            record, problem = context.descriptions.read(record, snapshot, now, wait)
        winner = promotions.winner(record.marks)
        promoted = winner.version if winner else None
        server = self._target(environment).server
        record = upgrade.assign(record, promoted, server, self._upgrade(now))
        layers = context.settings.layers(environment)
        policy = context.settings.rollout_policy(environment)
        limits = context.settings.limits_for(environment)
        wanted = want(record, layers, limits, policy, now)
        renewed = upgrade.renew(record, wanted.champion, server)
        if renewed != record:
            record, wanted = renewed, want(renewed, layers, limits, policy, now)
        unusable = wanted.problem is not None
        return record, replace(wanted, problem=wanted.problem or problem), unusable

    def _upgrade(self, now: float) -> upgrade.Upgrade:
        """Return the upgrade as of UPGRADE_SECONDS ago at most; a halt takes effect at once."""
        at, was_halted, known = self._upgrading
        fresh = now - at < UPGRADE_SECONDS
        if fresh and not known.moving:
            return known
        holds = halted(self.context)
        if fresh and holds == was_halted:
            return known
        # Not under the lock, which every pass takes: two concurrent passes plan the same upgrade.
        known = upgrading(self.context)
        self._upgrading = (now, holds, known)
        return known

    def _may_start(self, record: Record) -> bool:
        with self._lock:
            others = self._rolling - {record.id}
            return len(others) < self.context.settings.limits.parallel_rollouts

    def _note_rolling(self, record: Record) -> None:
        with self._lock:
            if record.candidate:
                self._rolling.add(record.id)
            else:
                self._rolling.discard(record.id)

    def _retirements(
        self, todo: plan.Plan, record: Record, policy: Policy, now: float, *, acts: bool
    ) -> plan.Retirements:
        """Count the simultaneous retirements; zero, without a count, if the plan retires none."""
        if not todo.retires_champion:
            return plan.Retirements(0, 0)
        return self._retirement_budget.ask(record, policy, now, reserve=acts)


def _as_schnitzel_error(failure: Exception, model: str, environment: str) -> SchnitzelError:
    """Return a SchnitzelError as it is, and wrap any other exception in PassFailed."""
    if isinstance(failure, SchnitzelError):
        return failure
    error = PassFailed(
        f"The Deployer failed to look after {model} in {environment}, in a way that nobody "
        f"foresaw ({type(failure).__name__}); what runs goes on running.",
        "It is tried again by itself. Report the traceback that is in the Deployer's log.",
    )
    error.__cause__ = failure
    return error
