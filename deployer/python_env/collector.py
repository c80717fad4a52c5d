"""Collect the unused Python environments of one place: a machine's folders, a cluster's images.

The collector decides what stays (see `retention`) and when to look; a backend lists the Python
environments of its place, records their uses, and removes the chosen ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from deployer.background.jobs import Jobs
from deployer.background.periodic import DAY, Periodic
from deployer.python_env.retention import (
    Inventory,
    KeptEnvironment,
    Need,
    Needs,
    Removed,
    attribute,
    choose,
)

REMOVAL: Final = "removal"


@dataclass(frozen=True, slots=True)
class Survey:
    """The Python environments of a place, as listed just now.

    Attributes:
        where: The image repository, or the folder.
        built: All Python environments, without their users.
        live: By the name of a running predictor, or of another process, the names of the Python
            environments that it runs in; none for a predictor that runs in no such environment.
        noted: By name, when a use was last recorded, in seconds since the epoch.
        find: Returns the names of the Python environments of a need; None: not known (yet).
        note_use: Records that the Python environment of this name is in use.
    """

    where: str
    built: Sequence[KeptEnvironment]
    live: Mapping[str, Collection[str]]
    noted: Mapping[str, float]
    find: Callable[[Need], Collection[str] | None]
    note_use: Callable[[str], None]


class Backend(Protocol):
    """The Python environments of one place."""

    def survey(self, *, every_process: bool) -> Survey:
        """List the Python environments and the processes that run in them.

        Args:
            every_process: Whether to look for processes that are not the platform's, even where
                that takes a while.

        Raises:
            TargetUnavailable: The place cannot be read now.
        """
        ...

    def claim(
        self, names: Collection[str], unused_since: float
    ) -> AbstractContextManager[Collection[str]]:
        """Claim those of these Python environments that nothing requested since that time.

        Until the end of the block, no predictor gets a claimed one.
        """
        ...

    def remove(
        self, chosen: Sequence[KeptEnvironment], unused_since: float, stopping: threading.Event
    ) -> Removed:
        """Remove claimed Python environments, and say why others of them stay.

        Raises:
            TargetUnavailable: The place cannot be written to now.
            Stopped: `stopping` was set.
        """
        ...


class Collector:
    """The Python environments of one place, with their users, and the removal of unused ones.

    Args:
        backend: The place.
        name: The name of the removal's thread.
        clock: Seconds since the epoch.
    """

    def __init__(self, backend: Backend, name: str, clock: Callable[[], float] = time.time) -> None:
        self._backend = backend
        self._clock = clock
        self._jobs: Jobs[Removed] = Jobs(name, 1)
        self._noting = Periodic(self.note_uses, "note-uses")

    def inventory(self, needs: Needs) -> Inventory:
        """List every Python environment with its users.

        Raises:
            TargetUnavailable: The place cannot be read now.
        """
        return self._inventory(needs, every_process=False)

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """Begin to remove unused Python environments; `inventory` shows the result.

        Args:
            names: The candidates, named as in `inventory`.
            needs: Called once no predictor can begin to use the candidates any more.
            grace: Seconds for which an unused Python environment stays.
        """
        self._jobs.forget(REMOVAL)
        self._jobs.ensure(REMOVAL, lambda: self._collect(names, needs, grace))

    def note_uses(self) -> None:
        """Record the use of every running Python environment, to the day.

        Raises:
            TargetUnavailable: The place cannot be read, or written to, now.
        """
        now, found = self._clock(), self._backend.survey(every_process=False)
        used = {name for names in found.live.values() for name in names}
        for name, noted in found.noted.items():
            if name in used and now - noted > DAY:
                found.note_use(name)

    def close(self) -> None:
        """End background work; a removal that runs elsewhere goes on there."""
        self._noting.close()
        self._jobs.close()

    def _inventory(self, needs: Needs, *, every_process: bool) -> Inventory:
        found = self._backend.survey(every_process=every_process)
        # A predictor that runs, in no Python environment of ours, needs none of them.
        asking = [each for each in needs.needs if found.live.get(each.predictor, True)]
        users, unknown = attribute(asking, found.live, found.find)
        built = tuple(replace(each, users=users.get(each.name, ())) for each in found.built)
        return Inventory(found.where, built, needs.unknown or unknown, self._jobs.peek(REMOVAL))

    def _collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> Removed:
        now = self._clock()
        with self._backend.claim(names, now - grace) as claimed:
            inventory = self._inventory(needs(), every_process=True)
            chosen, kept = choose(inventory, claimed, now, grace)
            kept |= dict.fromkeys(set(names) - set(claimed), "it was asked for meanwhile")
            if not chosen:
                return Removed(kept=kept)
            removed = self._backend.remove(chosen, now - grace, self._jobs.stopping)
            return replace(removed, kept={**kept, **removed.kept})
