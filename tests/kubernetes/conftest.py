"""A client of a real API server, and a namespace of its own for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiproxy import ApiProxy
from cluster import Cluster, cluster
from counted_records import CountedRecords

from deployer.database import Database
from deployer.targets.kubernetes.access import ClusterAccess, Session
from deployer.targets.kubernetes.connection import Client

CRD = Path(__file__).parents[2] / "helm/schnitzel/crd/modeldeployment.yaml"


@pytest.fixture(scope="session")
def real() -> Cluster:
    """The cluster, with our CRD."""
    found = cluster()
    found.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    wait = ("wait", "--for=condition=Established", "--timeout=30s")
    found.kubectl(*wait, "crd/modeldeployments.schnitzel.dev")
    return found


@pytest.fixture
def namespace(real: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    with real.namespace(request) as name:
        yield name


@pytest.fixture
def client(real: Cluster) -> Iterator[Client]:
    found = Client(Session(ClusterAccess(real.kubeconfig)))
    yield found
    found.close()


@pytest.fixture
def proxy(real: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    """The API server's answers can be lost on their way; what is asked is noted."""
    found = ApiProxy(real.kubeconfig, tmp_path)
    yield found
    found.close()


@pytest.fixture
def proxied(proxy: ApiProxy) -> Iterator[Client]:
    """A client that comes by the proxy."""
    found = Client(Session(ClusterAccess(proxy.kubeconfig)))
    yield found
    found.close()


@pytest.fixture
def now() -> float:
    return time.time()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[CountedRecords]:
    database = Database(tmp_path / "deployer.db")
    yield CountedRecords(database)
    database.close()
