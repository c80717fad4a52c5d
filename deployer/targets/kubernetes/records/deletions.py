"""Keep a ledger of the deployments that serve in a cluster, to detect deletions by operators.

An operator deleted a ModelDeployment that is in the ledger and not in the cluster, whether a
Deployer ran at that time or not. A deployment that the Deployer retired is not in the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

from deployer.state.record import Record


class Memory(Protocol):
    """Single values that outlive the process."""

    def get_all(self, prefix: str) -> dict[str, str]:
        """Read every value whose name has this prefix, by its whole name."""
        ...

    def set_all(self, values: Mapping[str, str | None]) -> None:
        """Keep several values in one write; None forgets a value."""
        ...


class DeletionLedger:
    """The serving deployments of one cluster, each with its namespace; writes only changes.

    The ledger is read when it is first needed, so that a standby Deployer finds the entries of the
    former leader.

    Args:
        cluster: The cluster's name in platform.yaml.
        memory: Keeps the ledger; None: the ledger ends with the process.
    """

    def __init__(self, cluster: str, memory: Memory | None = None) -> None:
        self._prefix = f"serves/{cluster}/"
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def namespace(self, key: str) -> str | None:
        """Return the namespace of a deployment in the ledger, by its id; None without an entry.

        Raises:
            DatabaseUnavailable: The ledger cannot be read.
        """
        with self._lock:
            return self._all().get(key)

    def count(self, namespace: str) -> int:
        """Count the deployments of a namespace in the ledger; raises as `namespace` does."""
        with self._lock:
            return sum(where == namespace for where in self._all().values())

    def update(self, seen: Iterable[tuple[Record, str]]) -> None:
        """Enter the deployments that serve, each with its namespace, and strike the others.

        Raises:
            DatabaseUnavailable: The ledger cannot be written.
        """
        with self._lock:
            known = self._all()
            self._change({
                record.id: namespace if serves(record) else None
                for record, namespace in seen
                if known.get(record.id) != (namespace if serves(record) else None)
            })  # fmt: skip

    def remove(self, key: str) -> None:
        """Strike a deployment, so that it may be made again; raises as `note` does."""
        with self._lock:
            if key in self._all():
                self._change({key: None})

    def _all(self) -> dict[str, str]:
        if self._known is None:
            kept = self._memory.get_all(self._prefix) if self._memory else {}
            self._known = {name.removeprefix(self._prefix): where for name, where in kept.items()}
        return self._known

    def _change(self, changes: Mapping[str, str | None]) -> None:
        known = self._all()
        if self._memory and changes:
            self._memory.set_all({self._prefix + key: to for key, to in changes.items()})
        for key, to in changes.items():
            if to is None:
                known.pop(key, None)
            else:
                known[key] = to


def serves(record: Record) -> bool:
    """Decide whether a deployment belongs in the ledger: it serves, or has a candidate."""
    return record.champion is not None or record.candidate is not None
