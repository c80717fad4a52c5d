"""In: what a pass found and did, or what broke it. Out: it is told: status, history, tags, target.

What may pass by itself (an object changed meanwhile, a cluster that is busy) is tried again soon,
and told once it has lasted; what a person must mend is told at once.
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
from deployer.state.deployment import Deployment, Observed, Record, Wanted
from deployer.state.reasons import Reason, State
from deployer.status import verdict
from deployer.status.verdict import Status

log = logging.getLogger(__name__)

LASTS_SECONDS: Final = 3.0
"""Passes must have failed for so long before what may pass by itself is told."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass found and decided: the record before it, the next step, and what to tell of it.

    What is told is judged by what was seen, so that it holds whatever comes of the step.
    """

    remembered: Record
    step: Step
    told: Status


class Publisher:
    """Tells of passes.

    Args:
        context: History, tags and targets to tell it to.
        closing: Set when what passes need is being closed: what breaks then is nobody's news.
    """

    def __init__(self, context: ReconcileContext, closing: threading.Event) -> None:
        self._context = context
        self._closing = closing

    def publish(self, found: PassResult, before: Status | None) -> Status:
        """Tell of a pass that did what it was to do.

        Raises:
            SchnitzelError: There is no account of it.
        """
        told = verdict.carry(found.told, before)
        self._conclude(found, told, before)
        self._show(told)
        return told

    def publish_failure(
        self,
        record: Record,
        found: PassResult | None,
        before: Status | None,
        error: SchnitzelError,
        since: float,
    ) -> Status:
        """Tell of a pass that broke, with what it found if it came so far, else what was known.

        Args:
            record: Of the deployment, as far as it is known.
            found: What the pass found before it broke.
            before: What was told last.
            error: What broke it.
            since: When the first of the passes began that broke one after the other.
        """
        now = self._context.clock()
        known = found.told if found else before
        young = is_transient(error) and now - since < LASTS_SECONDS
        if known and (young or self._closing.is_set()):
            return verdict.carry(known, before)
        told = verdict.broken(known or self.unknown(record, now), error, now)
        told = verdict.carry(told, before)
        if found and told.settled:  # not where another Deployer may have taken over
            with self._at_best("its account", told):  # which may be the very one that broke it
                self._conclude(found, told, before)
        if known:
            self._show(told)
        return told

    def _conclude(self, found: PassResult, told: Status, before: Status | None) -> None:
        context = self._context
        now = context.clock()
        events.record_outcome(context.history, context.tags, found.remembered, told, before, now)

    def _show(self, told: Status) -> None:
        """Show it where the deployment runs; if that fails, the next pass will."""
        with self._at_best("its state where it runs", told):
            self._context.targets[told.record.environment].tell(told)

    @contextmanager
    def _at_best(self, what: str, told: Status) -> Iterator[None]:
        """Do it if that is possible; nothing else depends on it."""
        try:
            yield
        except SchnitzelError as error:
            log.debug("%s: %s is not told: %s", told.record.id, what, error.message)
        except Exception:
            if not self._closing.is_set():
                log.exception("%s: %s is not told", told.record.id, what)

    def unknown(self, record: Record, now: float) -> Status:
        """A deployment of which nothing was seen yet."""
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
            plan=plan.describe(plan.make(observed, there, retiring=False)),
        )
