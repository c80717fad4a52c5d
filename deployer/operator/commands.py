"""Carry out an operator's commands; the history names the operator before anything changes."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from functools import partial

from deployer import hints
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.errors import NoRollout, PlanChanged, TargetUnavailable, UnsafePlan
from deployer.operator import options as applied, usage
from deployer.operator.options import ApplyOptions
from deployer.plan.preview import ObjectChange
from deployer.rollout import maintain, upgrade
from deployer.rollout.candidates import end
from deployer.state.predictor import Predictor
from deployer.state.reasons import Reason
from deployer.state.record import Candidate, Failure, Pause, Record
from deployer.store.history import by_operator
from deployer.targets.base import HasPythonEnvironments


class Commands:
    """The changes that an operator may order."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._context: ReconcileContext = controller.context

    def apply(self, deployment: str, who: str, options: ApplyOptions) -> None:
        """Run a pass over a deployment now, and retry, allow retirement or adopt objects.

        Raises:
            NotFound: No deployment has this id.
            PlanChanged: The current plan is not the reviewed plan.
            UnsafePlan: The deployment is paused, or there is no object to adopt.
        """
        status = self._controller.status(deployment)
        if status.record.pause:
            raise UnsafePlan(
                f"{deployment} is paused by {status.record.pause.by}.",
                hints.deploy("resume", status.record),
            )
        foreign: tuple[ObjectChange, ...] = ()
        if options.reviewed or options.adopt:
            status, rendered = self._controller.preview(deployment)
            foreign = rendered.foreign if options.adopt else ()
            if options.reviewed and options.reviewed != status.plan.digest(rendered):
                raise PlanChanged(
                    f"The plan for {deployment} has changed since it was reviewed.",
                    f"Look again: {hints.deploy('plan', status.record)}",
                )
        if options.adopt and not foreign:
            raise UnsafePlan(
                f"No foreign object is in the way of {deployment}: there is nothing to adopt.",
                hints.deploy("diff", status.record),
            )

        if options.retry:
            self._context.descriptions.forget(deployment)

        def change(record: Record) -> Record:
            self._context.records.allow(deployment, record.environment)
            return applied.apply_options(record, options, foreign)

        detail = applied.describe(options, foreign)
        self._controller.change(deployment, change, by_operator(deployment, "apply", who, detail))

    def pause(self, deployment: str, who: str, reason: str) -> None:
        """Pause a deployment: its rollout goes no further."""
        pause = Pause(who, self._context.clock(), reason)
        event = by_operator(deployment, "pause", who, reason)
        self._controller.change(deployment, lambda record: replace(record, pause=pause), event)

    def resume(self, deployment: str, who: str) -> None:
        """Resume a paused deployment."""
        event = by_operator(deployment, "resume", who)
        self._controller.change(deployment, lambda record: replace(record, pause=None), event)

    def advance(self, deployment: str, who: str, candidate: str = "") -> None:
        """Let the candidate of a rollout leave its present step; evidence and times still count.

        A champion that has all of the traffic leaves its bake: its predecessor is not needed.

        Args:
            deployment: The deployment's id.
            who: The operator.
            candidate: The digest of the candidate that the operator means; empty for any.

        Raises:
            NoRollout: No candidate of this digest shares the traffic.
        """

        def change(record: Record) -> Record:
            if _bakes(record, candidate):
                return maintain.end_bake(record)
            found = _candidate(record, candidate, live=True)
            return replace(record, candidate=replace(found, released=found.step))

        self._controller.change(deployment, change, by_operator(deployment, "advance", who))

    def promote_now(self, deployment: str, who: str, candidate: str, reason: str) -> None:
        """Let the candidate take all of the traffic without the steps that are left.

        It still has to be ready and to answer its example. A harm that is shown still ends it.

        Args:
            deployment: The deployment's id.
            who: The operator.
            candidate: The digest of the candidate that the operator means; empty for any.
            reason: Why, for the history.

        Raises:
            NoRollout: No such candidate is there.
        """

        def change(record: Record) -> Record:
            return replace(record, candidate=replace(_candidate(record, candidate), hurried=True))

        self._controller.change(
            deployment, change, by_operator(deployment, "promote now", who, reason)
        )

    def abort(self, deployment: str, who: str, candidate: str = "", reason: str = "") -> None:
        """End a rollout: the champion gets all of the traffic back, and the candidate leaves.

        While a new champion bakes, its predecessor gets the traffic back.

        Args:
            deployment: The deployment's id.
            who: The operator.
            candidate: The digest of the candidate that the operator means; empty for any.
            reason: Why, for the status and the history.

        Raises:
            NoRollout: No such candidate is there, or its predecessor is not ready.
        """
        at, why = self._context.clock(), f": {reason}" if reason else ""
        observed = self._controller.status(deployment).observed

        def change(record: Record) -> Record:
            predictor = _bakes(record, candidate) or _candidate(record, candidate).predictor
            message = f"{who} ended the rollout of version {predictor.version.number}{why}."
            failure = Failure(Reason.ABORTED, message, hints.deploy("apply", record, "--retry"), at)
            ended = end(record, observed, failure, at)
            if ended is record:
                raise NoRollout(
                    "The version from before is not ready: nothing was changed.",
                    hints.deploy("status", record),
                )
            return ended

        self._controller.change(deployment, change, by_operator(deployment, "abort", who, reason))

    def resync(self, who: str) -> None:
        """List the registry and run a pass over every deployment now."""
        self._note("reconcile", who)
        self._controller.resync()

    def hint(self, model: str | None) -> None:
        """Poll the registry now, because MLflow reported a change of a model; None: of any."""
        self._controller.watch.hint(model)

    def accept_registry(self, who: str) -> None:
        """Accept the registry as the right one."""
        self._note("accept registry", who)  # even if MLflow is unreachable
        self._context.identity.accept()
        self._context.registry.forget()
        self._controller.watch.hint(None)

    def halt_upgrade(self, who: str, *, halt: bool) -> None:
        """Let no further deployment begin to move, over restarts of the Deployer too; or go on."""
        if halt != bool(self._context.records.get(upgrade.HALT)):
            self._note("halt upgrade" if halt else "resume upgrade", who)
            by = json.dumps({"by": who, "at": self._context.clock()}) if halt else ""
            self._context.records.set(upgrade.HALT, by)
        self._controller.resync()

    def collect_environments(self, who: str, names: Collection[str]) -> None:
        """Begin to remove those of the named Python environments that nothing needs."""
        context = self._context
        self._note("collect environments", who, ", ".join(names))
        for target in context.each_target:
            if not isinstance(target, HasPythonEnvironments):
                continue
            needs = partial(usage.of_target, context, target)
            try:
                own = {built.name for built in target.environments(needs()).built}
            except TargetUnavailable:
                continue  # the listing reports it
            if chosen := own.intersection(names):
                target.collect(chosen, needs, context.settings.policy.collect_after)

    def _note(self, action: str, who: str, detail: str = "") -> None:
        self._context.history.append(by_operator("", action, who, detail), self._context.clock())


def _bakes(record: Record, digest: str) -> Predictor | None:
    """Return the champion that bakes, if the operator means it."""
    champion = record.champion if record.standby and record.candidate is None else None
    return champion if champion and digest in ("", champion.digest) else None


def _candidate(record: Record, digest: str, *, live: bool = False) -> Candidate:
    found, where = record.candidate, f"{record.model} in {record.environment}"
    if found is None or (digest and found.predictor.digest != digest):
        such = "such " if digest else ""
        problem = f"No {such}rollout of {where} is under way: nothing was changed."
    elif live and found.step < 0:
        problem = f"Version {found.predictor.version.number} of {where} has no traffic yet."
    else:
        return found
    raise NoRollout(problem, hints.deploy("status", record))
