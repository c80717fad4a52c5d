"""Route each record to the store of its environment.

A deployment of this machine has its record in the database; a deployment of a cluster has it in its
ModelDeployment there. Single values of the platform are in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from deployer.errors import SchnitzelError
from deployer.state.record import Record
from deployer.store.records import Records


class ClusterStore(Protocol):
    """The records of a cluster."""

    def load(self, key: str) -> Record | None:
        """Return the record of a deployment; None if there is none."""
        ...

    def save(self, record: Record) -> None:
        """Save a record, if it changed."""
        ...

    def all(self) -> list[Record]:
        """Return every record that can be read, in no order."""
        ...

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to recreate a deployment that was deleted by hand."""
        ...

    def allow(self, key: str) -> None:
        """Allow, for an operator, to recreate a deployment that was deleted by hand."""
        ...


class RecordStores:
    """The records of a platform, in all its stores.

    Args:
        database: The store of deployments on this machine, and of single values.
        clusters: The store of each environment that is on a cluster.
    """

    def __init__(self, database: Records, clusters: Mapping[str, ClusterStore]) -> None:
        self._database = database
        self._clusters = clusters

    def load(self, key: str, environment: str) -> Record | None:
        """Return the record of a deployment; None if there is none yet.

        Raises:
            TargetUnavailable: The cluster cannot be read, so that a record may exist.
        """
        cluster = self._clusters.get(environment)
        return cluster.load(key) if cluster else self._database.load(key)

    def save(self, record: Record) -> None:
        """Save a record, if it changed.

        Raises:
            SchnitzelError: The record is not saved; no action that relies on it may follow.
        """
        cluster = self._clusters.get(record.environment)
        if cluster:
            cluster.save(record)
        else:
            self._database.save(record)

    def all(self) -> list[Record]:
        """Return every record that can be read now, in no order."""
        return self.readable()[0]

    def readable(self) -> tuple[list[Record], set[str]]:
        """Return the records that can be read now, in no order, and the unreadable environments."""
        found = [r for r in self._database.all() if r.environment not in self._clusters]
        unseen: set[str] = set()
        for cluster in set(self._clusters.values()):
            try:
                found += cluster.all()
            except SchnitzelError:  # its own passes report the error
                unseen |= {name for name, its in self._clusters.items() if its is cluster}
        return found, unseen

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to recreate a deployment that was deleted by hand in its cluster.

        Raises:
            DeletedByHand: The deployment was deleted, and no operator has allowed it since.
        """
        cluster = self._clusters.get(record.environment)
        if cluster:
            cluster.raise_if_deleted(record)

    def allow(self, key: str, environment: str) -> None:
        """Allow, for an operator, to recreate a deployment deleted by hand in its cluster."""
        cluster = self._clusters.get(environment)
        if cluster:
            cluster.allow(key)

    def get(self, name: str) -> str | None:
        """Return a single value of the platform; None if there is none."""
        return self._database.get(name)

    def set(self, name: str, value: str) -> None:
        """Save a single value of the platform."""
        self._database.set(name, value)
