"""Hold what the rooms of this target need of a cluster, and read what it holds of a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deployer.config.clusters import Cluster
from deployer.config.environment import Environment
from deployer.state.record import Record
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import LiveObject, Owner
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.records.records import ClusterRecords


@dataclass(frozen=True, slots=True)
class LiveDeployment:
    """What a cluster holds of a deployment, read at one moment.

    Attributes:
        record: The deployment's record.
        namespace: The namespace of the deployment's objects.
        owner: The ModelDeployment, which owns all else; without a uid before there is one.
        objects: The deployment's objects in that namespace, pods included.
    """

    record: Record
    namespace: str
    owner: Owner
    objects: tuple[LiveObject, ...]

    def of(self, predictor: str) -> list[LiveObject]:
        """List the objects of one predictor."""
        return [obj for obj in self.objects if obj.predictor == predictor]


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """A cluster, as it is configured and as this Deployer reaches it; `wiring` makes one of each.

    Attributes:
        name: The cluster's name in platform.yaml.
        cluster: The settings of the cluster.
        environments: The settings of every environment, by its name.
        namespaces: The namespaces of the cluster's deployments; "" for every namespace.
        client: The API server; guarded by the Lease, which decides which Deployer may write.
        cache: The live objects.
        records: The records and statuses of deployments.
        clock: Seconds since the epoch.
        changed: Called with a deployment's id when a pass over it has something new to see.
    """

    name: str
    cluster: Cluster
    environments: Mapping[str, Environment]
    namespaces: tuple[str, ...]
    client: Client
    cache: Cache
    records: ClusterRecords
    clock: Callable[[], float]
    changed: Callable[[str], None]

    def read(self, deployment: str) -> LiveDeployment | None:
        """Read what the cluster holds of a deployment, by its id; None without a record.

        Raises:
            Unavailable: The cache does not know it now.
            RecordUnreadable: The record cannot be read.
        """
        found = self.records.find(deployment)
        return self._with_objects(found.record, found.namespace, found.uid) if found else None

    def read_unstored(self, record: Record) -> LiveDeployment:
        """Read what the cluster holds of a deployment without a record, which would be this one.

        Raises:
            Unavailable: The cache does not know it now.
        """
        return self._with_objects(record, self.records.namespace(record), "")

    def objects(self, there: LiveDeployment) -> tuple[LiveObject, ...]:
        """Read the objects of a deployment anew; raises as `read` does."""
        return self.cache.of(there.namespace, there.record.id)

    def _with_objects(self, record: Record, namespace: str, uid: str) -> LiveDeployment:
        owner = Owner(self.cache.platform, record.id, uid)
        return LiveDeployment(record, namespace, owner, self.cache.of(namespace, record.id))

    def close(self) -> None:
        """End all watches, and close the connections."""
        self.cache.close(1.0)
        self.client.close()
