"""Watch the registry and report changed models and the registry's health."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from deployer.errors import PassFailed, RegistryFrozen, SchnitzelError, reason_of
from deployer.registry.identity import NEXT_STEP, RegistryIdentity
from deployer.registry.snapshot import Registry, RegistryRolledBack
from deployer.state.reasons import RegistryHealth

log = logging.getLogger(__name__)

SHARE = 0.05  # of the time that polls may cost the registry at most; listings as much again


@dataclass(frozen=True, slots=True)
class Health:
    """The health of the registry; `held` has the environments that other platforms serve."""

    state: RegistryHealth = RegistryHealth.UNSEEN
    reason: str = ""
    message: str = "The registry has not been read yet."
    next_step: str = ""
    listed_at: float | None = None
    webhooks: bool = False
    held: dict[str, str] | None = None


class Watch:
    """A watch on the registry: a poll each second, a listing each half minute, a hint at once.

    Args:
        registry: The registry to poll and list.
        marker: Checks whether this is still the same registry.
        environments: The environments to claim for this platform.
        subscribe: Subscribes to MLflow's webhooks; returns False if MLflow sends none.
        changed: Called after each listing, and after each poll that shows a change, with the names
            of the models that changed; None means all models.
        poll: Seconds between polls; more, up to `listing`, while a poll costs more than its share.
        listing: Seconds between listings; more while one costs more than its share.
        clock: Seconds since the epoch.
        timer: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        registry: Registry,
        marker: RegistryIdentity,
        environments: list[str],
        subscribe: Callable[[], bool],
        changed: Callable[[set[str] | None], None],
        poll: float,
        listing: float,
        clock: Callable[[], float],
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._marker = marker
        self._environments = environments
        self._subscribe = subscribe
        self._changed = changed
        self._poll = poll
        self._listing = listing
        self._clock = clock
        self._timer = timer
        self._hints: set[str] = set()
        self._list_now = True
        self._stop = False
        self._condition = threading.Condition()
        self._next_listing = timer()
        self.health = Health()

    def hint(self, model: str | None) -> None:
        """Read one model now; None lists everything now."""
        with self._condition:
            if model is None:
                self._list_now = True
            else:
                self._hints.add(model)
            self._condition.notify()

    def close(self) -> None:
        """Stop the watch."""
        with self._condition:
            self._stop = True
            self._condition.notify()

    def run(self) -> None:
        """Poll and list until closed."""
        while not self._stop:
            pause = self.poll_once()
            with self._condition:
                if not (self._hints or self._list_now or self._stop):
                    self._condition.wait(pause)

    def poll_once(self) -> float:
        """Poll or list once; returns the seconds until the next turn, which a hint cuts short."""
        with self._condition:
            hints, self._hints = self._hints, set()
            list_now, self._list_now = self._list_now, False
        began = self._timer()
        listed = self._look(hints, list_now=list_now or began >= self._next_listing)
        cost = self._timer() - began
        if listed:
            self._next_listing = began + max(self._listing, cost / SHARE)
            return self._poll
        return max(self._poll, min(self._listing, cost * (1 / SHARE - 1)))

    def _look(self, hints: set[str], *, list_now: bool) -> bool:
        """Poll or list the registry; returns whether there is a new listing."""
        try:
            if (
                list_now
                or self._registry.snapshot is None
                or self.health.state is not RegistryHealth.FRESH
            ):
                self._list()
                return True
            names = self._registry.poll()
            for model in hints:
                names |= self._registry.refresh(model)
            if names:
                self._changed(names)
        except RegistryRolledBack as evidence:
            self._frozen(self._marker.freeze(f"MLflow's registry went back in time: {evidence}."))
        except RegistryFrozen as error:
            self._frozen(error)
        except SchnitzelError as error:
            self._stale(error)
        except Exception as error:  # the end of this thread would go unnoticed
            if self._stop:
                return False
            log.exception("looking at the registry failed")
            self._stale(
                PassFailed(
                    "The Deployer failed to read the registry, with an unexpected error "
                    f"({type(error).__name__}); it decides on the last listing.",
                    "It is retried automatically. Report the traceback in the Deployer's log.",
                )
            )
        return False

    def _list(self) -> None:
        fresh, first = self._clock(), self._registry.snapshot is None
        names = self._registry.list_all(fresh)
        held = self._marker.claim(self._environments)
        webhooks = self._subscribe()
        if stale := self.health.state is not RegistryHealth.FRESH:
            log.info("the registry is read")
        moved = held != self.health.held
        self.health = Health(RegistryHealth.FRESH, "", "", "", fresh, webhooks, held)
        self._changed(None if first or stale or moved else names)

    def _frozen(self, error: RegistryFrozen) -> None:
        if self.health.state is not RegistryHealth.FROZEN:
            log.error("%s", error.message)
            self._changed(None)
        self.health = replace(
            self.health,
            state=RegistryHealth.FROZEN,
            reason=reason_of(error),
            message=error.message,
            next_step=error.hint or NEXT_STEP,
        )

    def _stale(self, error: SchnitzelError) -> None:
        state = RegistryHealth.STALE if self._registry.snapshot else RegistryHealth.UNSEEN
        if self.health.state is not state or self.health.message != error.message:
            log.warning("%s", error.message)
        self.health = replace(
            self.health,
            state=state,
            reason=reason_of(error),
            message=error.message,
            next_step=error.hint,
        )
