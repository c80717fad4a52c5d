"""Count the champions that retire at the same time.

The count covers champions without a promotion, and champions retired within the policy's window. It
reads all records only when a champion is to retire, and at most once in LOOK_SECONDS. Retirements
since then are added, so that concurrent passes never retire more champions than each of them
counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from deployer.plan.plan import Retirements
from deployer.state.deployment import Policy
from deployer.state.record import Record

LOOK_SECONDS: Final = 1.0
"""How long a count over all records is valid. A champion that lost its promotion meanwhile is not
counted for so long; a retired champion always is."""


@dataclass(frozen=True, slots=True)
class _Count:
    """A count over all records: its time, the retiring deployments, and the number of all."""

    at: float
    going: frozenset[str]
    deployments: int


class RetirementBudget:
    """A count of the champions that retire.

    Args:
        records: returns every record that can be read now.
        window: seconds within which retirements are counted together.
    """

    def __init__(self, records: Callable[[], Iterable[Record]], window: float) -> None:
        self._records = records
        self._window = window
        self._lock = threading.Lock()
        self._last_count: _Count | None = None
        self._retired: dict[str, float] = {}

    def count(
        self, record: Record, policy: Policy, now: float, *, reserve: bool = True
    ) -> Retirements:
        """Count the retirements, including this one; reserve this one unless there are too many.

        Args:
            record: the record of the deployment whose champion is to retire.
            policy: the limits on retirements.
            now: seconds since the epoch.
            reserve: whether the champion retires if the limits allow; False for a preview.
        """
        with self._lock:  # count and reserve at once: another pass counts after that
            count = self._last_count
            if count is None or not 0 <= now - count.at < LOOK_SECONDS:
                count = self._last_count = self._count_records(now)
            self._retired = {k: at for k, at in self._retired.items() if now - at < self._window}
            going = count.going | self._retired.keys() | {record.id}
            found = Retirements(len(going), count.deployments)
            if reserve and (record.allow_retire or not found.exceed(policy)):
                self._retired[record.id] = now
            return found

    def _count_records(self, now: float) -> _Count:
        going = set()
        deployments = 0
        for record in self._records():
            recent = record.retired_at is not None and now - record.retired_at < self._window
            serves = record.champion is not None
            deployments += serves or recent
            if recent or (serves and record.absence is not None):
                going.add(record.id)
        return _Count(now, frozenset(going), deployments)
