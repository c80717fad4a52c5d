"""In: all records, and a champion that is to go. Out: how many are going at the same time.

Counted are those that nothing promotes any more, and those retired within the policy's window. All
records are walked only where a champion is to go, and then once in a while: what was let go since
is added, so that passes that run beside one another never let more go than each of them saw.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from deployer.plan.plan import Retirements
from deployer.state.deployment import Policy, Record

LOOK_SECONDS: Final = 1.0
"""How long a walk over all records is good for. One that has come to be absent meanwhile is missed
for so long; one that was let go never is."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A walk over all records: when, who was going, and how many deployments there were."""

    at: float
    going: frozenset[str]
    deployments: int


class RetirementBudget:
    """Counts the champions that go.

    Args:
        records: every record that can be seen now.
        window: seconds within which retirements are counted together.
    """

    def __init__(self, records: Callable[[], Iterable[Record]], window: float) -> None:
        self._records = records
        self._window = window
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._let_go: dict[str, float] = {}

    def ask(
        self, record: Record, policy: Policy, now: float, *, reserve: bool = True
    ) -> Retirements:
        """How many are going, this one included; unless they are too many it counts as gone.

        Args:
            record: whose champion is to go.
            policy: how many may.
            now: seconds since the epoch.
            reserve: whether it goes, if they are not too many; False if that is only shown.
        """
        with self._lock:  # from the count to the note of it: another pass counts after that
            look = self._look
            if look is None or not 0 <= now - look.at < LOOK_SECONDS:
                look = self._look = self._walk(now)
            self._let_go = {k: at for k, at in self._let_go.items() if now - at < self._window}
            going = look.going | self._let_go.keys() | {record.id}
            found = Retirements(len(going), look.deployments)
            if reserve and (record.allow_retire or not found.excessive(policy)):
                self._let_go[record.id] = now
            return found

    def _walk(self, now: float) -> _Look:
        going = set()
        deployments = 0
        for record in self._records():
            recent = record.retired_at is not None and now - record.retired_at < self._window
            serves = record.serving is not None
            deployments += serves or recent
            if recent or (serves and record.absence is not None):
                going.add(record.id)
        return _Look(now, frozenset(going), deployments)
