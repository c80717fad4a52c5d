"""In: records of deployments wherever they run. Out: each kept where it belongs.

A deployment of this machine has its record in the database; one of a cluster, in its
ModelDeployment there. Single values of the platform are in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from deployer.errors import SchnitzelError
from deployer.state.deployment import Record
from deployer.store.records import Records


class ClusterStore(Protocol):
    """The records of one cluster."""

    def load(self, key: str) -> Record | None:
        """The record of a deployment, or None if there is none."""
        ...

    def save(self, record: Record) -> None:
        """Keep a record; writes only if it changed."""
        ...

    def all(self) -> list[Record]:
        """Every record that can be read, in no order."""
        ...

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to make again what somebody deleted."""
        ...

    def allow(self, key: str) -> None:
        """A person's word: a record that somebody deleted may be made again."""
        ...


class RecordStores:
    """All records of one platform.

    Args:
        database: For what runs on this machine, and for single values.
        clusters: For each environment on a cluster, that cluster's.
    """

    def __init__(self, database: Records, clusters: Mapping[str, ClusterStore]) -> None:
        self._database = database
        self._clusters = clusters

    def load(self, key: str, environment: str) -> Record | None:
        """The record of a deployment, or None if there is none yet.

        Raises:
            TargetUnavailable: It is not known now whether there is one.
        """
        cluster = self._clusters.get(environment)
        return cluster.load(key) if cluster else self._database.load(key)

    def save(self, record: Record) -> None:
        """Keep a record; writes only if it changed.

        Raises:
            SchnitzelError: It is not kept, and nothing may be done that rests on it.
        """
        cluster = self._clusters.get(record.environment)
        if cluster:
            cluster.save(record)
        else:
            self._database.save(record)

    def all(self) -> list[Record]:
        """Every record that can be seen now, in no order."""
        return self.survey()[0]

    def survey(self) -> tuple[list[Record], set[str]]:
        """Every record that can be seen now, in no order, and the environments that cannot be."""
        found = [r for r in self._database.all() if r.environment not in self._clusters]
        unseen: set[str] = set()
        for cluster in set(self._clusters.values()):
            try:
                found += cluster.all()
            except SchnitzelError:  # its own passes say so
                unseen |= {name for name, its in self._clusters.items() if its is cluster}
        return found, unseen

    def raise_if_deleted(self, record: Record) -> None:
        """Refuse to make again, by ourselves, a deployment that somebody deleted in its cluster.

        Raises:
            DeletedByHand: Somebody did, and nobody has allowed it since.
        """
        cluster = self._clusters.get(record.environment)
        if cluster:
            cluster.raise_if_deleted(record)

    def allow(self, key: str, environment: str) -> None:
        """A person's word: a deployment that somebody deleted in its cluster may be made again."""
        cluster = self._clusters.get(environment)
        if cluster:
            cluster.allow(key)

    def get(self, name: str) -> str | None:
        """A single remembered value of the platform."""
        return self._database.get(name)

    def set(self, name: str, value: str) -> None:
        """Keep a single value of the platform."""
        self._database.set(name, value)
