"""The cluster and a namespace of one's own in it."""

from __future__ import annotations

from collections.abc import Iterator

import cluster as testcluster
import pytest


@pytest.fixture(scope="session")
def cluster() -> testcluster.Cluster:
    return testcluster.cluster()


@pytest.fixture
def namespace(cluster: testcluster.Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    with cluster.namespace(request) as name:
        yield name
