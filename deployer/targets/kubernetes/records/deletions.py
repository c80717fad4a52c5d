"""In: the deployments that serve in a cluster. Out: the same after a restart: who is missing there.

A ModelDeployment that is on the roster and not in the cluster was deleted by somebody, whether a
Deployer ran at that time or not. One that the Deployer retired itself is not on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

from deployer.state.deployment import Record


class Memory(Protocol):
    """Single values that outlive the process."""

    def get_all(self, prefix: str) -> dict[str, str]:
        """Every value whose name begins so, by its whole name."""
        ...

    def set_all(self, values: Mapping[str, str | None]) -> None:
        """Keep several values at once; None forgets one."""
        ...


class DeletionLedger:
    """Who serves in one cluster, and in which namespace. Writes on change alone.

    It is read when it is first needed: a Deployer that stood by finds what the other one wrote.

    Args:
        cluster: the cluster's name, in platform.yaml.
        memory: where it is kept; None: it is forgotten with the process.
    """

    def __init__(self, cluster: str, memory: Memory | None = None) -> None:
        self._prefix = f"serves/{cluster}/"
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def namespace(self, key: str) -> str | None:
        """Where a deployment is on the roster, by its id; None if it is not.

        Raises:
            DatabaseUnavailable: it cannot be read.
        """
        with self._lock:
            return self._all().get(key)

    def count(self, namespace: str) -> int:
        """How many are on the roster in a namespace; raises as `namespace` does."""
        with self._lock:
            return sum(where == namespace for where in self._all().values())

    def note(self, seen: Iterable[tuple[Record, str]]) -> None:
        """Take down who serves, each with its namespace, and strike out who does no more.

        Raises:
            DatabaseUnavailable: it is not kept.
        """
        with self._lock:
            known = self._all()
            self._change({
                record.id: namespace if serves(record) else None
                for record, namespace in seen
                if known.get(record.id) != (namespace if serves(record) else None)
            })  # fmt: skip

    def strike(self, key: str) -> None:
        """A person knows of it: it may be made again. Raises as `note` does."""
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
    """Whether a deployment has anything to miss: what serves, or is on its way."""
    return record.serving is not None or record.candidate is not None
