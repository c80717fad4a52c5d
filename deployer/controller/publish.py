"""Publish the result or the failure of a pass as status, history and tags, and to the target.

A transient error (an object changed meanwhile, a busy cluster) is retried soon, and published once
it has lasted; an error that an operator must fix is published at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deployer.controller import events
from deployer.controller.context import ReconcileContext
from deployer.errors import SchnitzelError, is_transient
from deployer.plan import plan
from deployer.rollout.advance import Step
from deployer.state.deployment import Deployment, Wanted
from deployer.state.observed import Observed
from deployer.state.reasons import Reason, State
from deployer.state.record import Record
from deployer.status import verdict
from deployer.status.verdict import Status
from deployer.targets.base import PublishesStatus

log = logging.getLogger(__name__)

LASTS_SECONDS: Final = 3.0
"""How long passes must have failed before a transient error is published."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """The result of a pass: the record before the pass, the next step, and the status to publish.

    The status is judged from the observation, so that it holds whether or not the step succeeds.
    """

    stored: Record
    step: Step
    status: Status


@dataclass(frozen=True, slots=True)
class Pass:
    """The outcome of a pass.

    Attributes:
        status: The status that was published.
        at_rest: Whether each change that concerns the deployment is reported.
        wake_at: The latest time of the next pass; None for no limit.
        error: The error that broke the pass.
    """

    status: Status
    at_rest: bool = False
    wake_at: float | None = None
    error: SchnitzelError | None = None


class Publisher:
    """A publisher of passes.

    Args:
        context: The history, tags and targets to publish to.
        closing: Set when the services that passes need are being closed; failures after that are
            not published.
    """

    def __init__(self, context: ReconcileContext, closing: threading.Event) -> None:
        self._context = context
        self._closing = closing
        self._unpublished: set[str] = set()

    def has_published(self, deployment: str) -> bool:
        """Return whether the target has the status of a deployment that was published last."""
        return deployment not in self._unpublished

    def publish(self, found: PassResult, before: Status | None) -> Status:
        """Publish a pass that succeeded.

        Raises:
            SchnitzelError: The history cannot be written.
        """
        status = verdict.keep_changed_at(found.status, before)
        self._record_outcome(found, status, before)
        self._publish_to_target(status)
        return status

    def publish_failure(
        self,
        record: Record,
        found: PassResult | None,
        before: Status | None,
        error: SchnitzelError,
        since: float,
    ) -> Status:
        """Publish a pass that broke, with its result if it came so far, else the last status.

        Args:
            record: The record of the deployment, as far as it is known.
            found: The result of the pass before it broke; None if there is none.
            before: The status published last.
            error: The error that broke the pass.
            since: When the first of the consecutive failed passes began.
        """
        now = self._context.clock()
        known = found.status if found else before
        young = is_transient(error) and now - since < LASTS_SECONDS
        if known and (young or self._closing.is_set()):
            return verdict.keep_changed_at(known, before)
        status = verdict.failed_status(known or self.unknown_status(record, now), error, now)
        status = verdict.keep_changed_at(status, before)
        if found and status.settled:  # not where another Deployer may have taken over
            with self._best_effort(
                "the history and the tags", status
            ):  # the history may have broken the pass
                self._record_outcome(found, status, before)
        if known:
            self._publish_to_target(status)
        return status

    def _record_outcome(self, found: PassResult, status: Status, before: Status | None) -> None:
        context = self._context
        now = context.clock()
        events.record_outcome(context.history, context.tags, found.stored, status, before, now)

    def _publish_to_target(self, status: Status) -> None:
        """Publish the status in a target with a place for it; if that fails, the next pass does."""
        target = self._context.targets[status.record.environment]
        if not isinstance(target, PublishesStatus):
            return
        self._unpublished.add(status.record.id)
        with self._best_effort("the status in the target", status):
            target.publish(status)
            self._unpublished.discard(status.record.id)

    @contextmanager
    def _best_effort(self, what: str, status: Status) -> Iterator[None]:
        """Log a failure of the block and go on, because nothing else depends on the block."""
        try:
            yield
        except SchnitzelError as error:
            log.debug("%s: could not publish %s: %s", status.record.id, what, error.message)
        except Exception:
            if not self._closing.is_set():
                log.exception("%s: could not publish %s", status.record.id, what)

    def unknown_status(self, record: Record, now: float) -> Status:
        """Build the status of a deployment that has not been observed yet."""
        observed = Observed({}, now)
        there = Deployment(record.id, record.model, record.environment, ())
        return Status(
            verdict=verdict.Verdict(State.PROGRESSING, Reason.READING, ""),
            sync=verdict.sync(record, Wanted(None), frozen=False),
            record=record,
            wanted=Wanted(None),
            observed=observed,
            url="",
            target=self._context.settings.environments[record.environment].target,
            changed_at=now,
            settled=False,
            plan=plan.make(observed, there),
        )
