"""Run a pass over a deployment: observe, decide, save, apply, publish."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from deployer.controller import events, pace
from deployer.controller.context import ReconcileContext, halted, upgrading
from deployer.controller.publish import Pass, PassResult, Publisher
from deployer.controller.retirements import RetirementBudget
from deployer.controller.scope import Key
from deployer.desired import promotions
from deployer.desired.wanted import draft, want
from deployer.errors import PassFailed, PassHangs, SchnitzelError, UnsafePlan
from deployer.plan import plan
from deployer.plan.preview import Preview
from deployer.rollout import advance, orders, upgrade
from deployer.state.deployment import Policy, Wanted
from deployer.state.observed import Observed
from deployer.state.record import Record
from deployer.status import verdict
from deployer.status.verdict import Status
from deployer.targets.base import CountsRequests, Target

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
    now: float


class Reconciler:
    """A runner of passes, which never runs two passes over one deployment at the same time.

    Args:
        context: The services that passes read from and act on.
        closing: Set when these services are being closed.
        invalid: Returns the ids of deployments whose serving spec cannot be used.
    """

    def __init__(
        self,
        context: ReconcileContext,
        closing: threading.Event,
        invalid: Callable[[], Collection[str]],
    ) -> None:
        self.context = context
        self._publisher = Publisher(context, closing)
        self._invalid = invalid
        self._failing: dict[Key, float] = {}
        self._rolling: set[str] = set()
        self._upgrading = (0.0, False, upgrade.Upgrade())
        window = context.settings.policy.retire_window
        self._retirement_budget = RetirementBudget(context.records.all, window)
        self._lock = threading.Lock()
        self._locks: dict[Key, threading.Lock] = {}

    @contextmanager
    def exclusive(self, key: Key, seconds: float = -1) -> Iterator[None]:
        """Hold the lock of a deployment's record, for a pass or for an operator's request.

        Raises:
            PassHangs: The lock was not free within `seconds`.
        """
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=seconds):
            raise PassHangs.of(key.model, key.environment)
        try:
            yield
        finally:
            lock.release()

    def run(self, key: Key, before: Status | None) -> Pass:
        """Run a pass; an error is part of the outcome, and predictors go on running.

        Args:
            key: The deployment.
            before: The status published last.
        """
        began = self.context.clock()
        record, found = Record(*key), None
        try:
            record = self._record(key)
            found = self._decide_and_save(record)
            self._target(key.environment).apply(found.step.deployment, found.status.observed)
            status = self._publisher.publish(found, before)
        except _Early:
            known = before or self._publisher.unknown_status(record, began)
            return Pass(known, wake_at=began + EARLY_SECONDS)
        except Exception as failure:  # noqa: BLE001 - one broken deployment must not end the others
            error = _as_schnitzel_error(failure, key)
            since = self._failing.setdefault(key, began)
            return Pass(
                self._publisher.publish_failure(record, found, before, error, since), error=error
            )
        self._failing.pop(key, None)
        server = self._target(key.environment).server
        rests = pace.at_rest(found.step, status, server)
        rests = rests and self._publisher.has_published(key.id)
        problem = status.wanted.problem
        times = (found.step.wake_at, problem.retry_at if problem else None)
        return Pass(status, rests, min((at for at in times if at is not None), default=None))

    def hanging_status(self, key: Key, before: Status | None, error: PassHangs) -> Status:
        """Build the status of a deployment whose pass does not end."""
        now = self.context.clock()
        nobody = Record(*key)
        return verdict.failed_status(
            before or self._publisher.unknown_status(nobody, now), error, now
        )

    def preview(self, key: Key) -> tuple[plan.Plan, Preview]:
        """Plan and render a pass as of now, without saving or applying anything.

        Raises:
            SchnitzelError: The target cannot be observed, or the goal cannot be rendered.
        """
        target = self._target(key.environment)
        todo = self._evaluate(self._record(key), target, acts=False).todo
        return todo, target.preview(todo.goal)

    def _decide_and_save(self, stored: Record) -> PassResult:
        """Observe, decide, and save the decision."""
        context = self.context
        target = self._target(stored.environment)
        seen = self._evaluate(stored, target, acts=True)
        step, now = seen.step, seen.now
        context.records.raise_if_deleted(step.record)  # before the history says that it is created
        verdict_now = seen.observed.verdict
        events.record_intent(context.history, step, seen.wanted, verdict_now, now)
        context.records.save(step.record)
        context.promoters.settle(step.record, stored.next_sequence, now)
        self._note_rolling(step.record)
        if context.scaler:
            context.scaler.follow(step.deployment, seen.observed)
        frozen = bool(context.identity.frozen)
        known = seen.wanted.champion or seen.wanted.problem
        reading = seen.wanted.version is not None and not known and not frozen
        status = Status(
            verdict=verdict.judge(
                step.record,
                seen.wanted,
                seen.observed,
                step.waiting,
                seen.refused,
                context.queues.standing(stored.id),
            ),
            sync=verdict.sync(step.record, seen.wanted, frozen=frozen),
            record=step.record,
            wanted=seen.wanted,
            observed=seen.observed,
            url=target.url(step.record.model, step.record.environment),
            target=target.name,
            changed_at=now,
            settled=step.settled and not reading,
            plan=seen.todo,
        )
        return PassResult(stored, step, status)

    def _evaluate(self, record: Record, target: Target, *, acts: bool) -> _Evaluation:
        """Observe a deployment and decide the wanted predictor, the next step and the safe plan.

        A retirement counts for the other deployments only if the caller `acts` on the decision.
        """
        context = self.context
        policy = context.settings.rollout_policy(record.environment)
        frozen = context.identity.frozen
        observed = target.observe(record.id)
        if acts and observed.awaits:
            raise _Early(observed.awaits)
        record, wanted = self._decide(record, observed, 0.0 if acts else PREVIEW_SECONDS)
        now = context.clock()
        refused: UnsafePlan | None = None
        if wanted.retire and not (frozen or record.pause):
            try:
                self._raise_if_too_many_retire(record, policy, now, acts=acts)
            except UnsafePlan as error:
                refused, wanted = error, replace(wanted, retire=False)
        if isinstance(target, CountsRequests):
            judged = context.judging.verdict(record, target.windows if acts else None)
            observed = replace(observed, verdict=judged)
        snapshot = None if frozen else context.registry.snapshot
        record, order = orders.carry_out(record, snapshot, observed, now)
        may_start = self._may_start(record)
        hold = bool(frozen) or order == "pause"
        step = advance.advance(
            wanted, observed, record, policy, now, may_start=may_start, hold=hold
        )
        if order == "pause" and step.record.candidate:
            version = step.record.candidate.predictor.version
            step = replace(step, waiting=orders.held(version, record.environment))
        if context.scaler:
            numbers = context.scaler.numbers(step.deployment, observed)
            step = replace(step, deployment=replace(step.deployment, replicas=numbers))
        goal = plan.goal(step.champion, observed, step.deployment, step.record)
        todo = plan.make(observed, goal, plan.held_by(record, refused, frozen=frozen))
        return _Evaluation(observed, wanted, step, todo, refused, now)

    def _record(self, key: Key) -> Record:
        return self.context.records.load(key.id, key.environment) or Record(*key)

    def _target(self, environment: str) -> Target:
        return self.context.targets[environment]

    def _decide(self, record: Record, observed: Observed, wait: float) -> tuple[Record, Wanted]:
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
            record = promotions.update(record, snapshot, selector, now, serving)
            record = context.promoters.sign(record, sequence, snapshot, now)
            record, problem = context.descriptions.read(record, snapshot, now, wait)
        layers = context.settings.layers(environment)
        policy = context.settings.rollout_policy(environment)
        limits = context.settings.limits_for(environment)
        queues = context.settings.queue_rules(environment, context.queues.users)
        drafted = draft(record, layers, limits, policy, now, queues)
        server = self._target(environment).server
        record = upgrade.assign(record, drafted.digest, server, self._upgrade(now))
        wanted = want(drafted, record)
        return record, replace(wanted, problem=wanted.problem or problem)

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
        known = upgrading(self.context, self._invalid())
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

    def _raise_if_too_many_retire(
        self, record: Record, policy: Policy, now: float, *, acts: bool
    ) -> None:
        """Refuse to retire the champion of a record beside too many others."""
        if record.champion is None and record.candidate is None:
            return
        retiring = self._retirement_budget.count(record, policy, now, reserve=acts)
        plan.raise_if_unsafe(record, retiring, policy)


def _as_schnitzel_error(failure: Exception, key: Key) -> SchnitzelError:
    """Return a SchnitzelError as it is, and wrap any other exception in PassFailed."""
    if isinstance(failure, SchnitzelError):
        return failure
    error = PassFailed(
        f"The pass over {key.model} in {key.environment} failed with an unexpected error "
        f"({type(failure).__name__}); the predictors keep running.",
        "It is retried automatically. Report the traceback that is in the Deployer's log.",
    )
    error.__cause__ = failure
    return error
