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
    """

    name: str
    cluster: Cluster
    environments: Mapping[str, Environment]
    namespaces: tuple[str, ...]
    client: Client
    cache: Cache
    records: ClusterRecords
    clock: Callable[[], float]

    def read(self, deployment: str) -> LiveDeployment | None:
        """Read what the cluster holds of a deployment, by its id; None without a record.

        Raises:
            Unavailable: The cache does not know it now.
            RecordUnreadable: The record cannot be read.
        """
        found = self.records.find(deployment)
        return self.of(found.record, found.object.uid) if found else None

    def of(self, record: Record, uid: str = "") -> LiveDeployment:
        """Read what the cluster holds of a deployment, given its record; raises as `read` does.

        Args:
            record: The deployment's record.
            uid: The uid of its ModelDeployment; "" before there is one.
        """
        namespace = self.records.namespace(record)
        owner = Owner(self.cache.platform, record.id, uid)
        return LiveDeployment(record, namespace, owner, self.cache.of(namespace, record.id))

    def close(self) -> None:
        """End all watches, and close the connections."""
        self.cache.close(1.0)
        self.client.close()
