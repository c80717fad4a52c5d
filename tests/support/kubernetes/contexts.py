"""A cluster's context for tests of single rooms, which ask for some of it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployer.config.clusters import Cluster
from deployer.config.environment import Environment
from deployer.targets.kubernetes.context import ClusterContext

SETTINGS = {
    "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
    "server_image": "registry.example/model-server:1",
}


def context_of(
    client: Any = None,
    cache: Any = None,
    records: Any = None,
    *,
    namespace: str = "prod",
    clock: Callable[[], float] = lambda: 1.0,
    **environment: Any,
) -> ClusterContext:
    """The context of a cluster "tests" with the environment prod; the fields are its settings."""
    prod = Environment(alias="champion", target="kubernetes", cluster="tests", **environment)
    return ClusterContext(
        "tests", Cluster.model_validate(SETTINGS), {"prod": prod}, (namespace,), client, cache,
        records, clock, lambda _: None,
    )  # fmt: skip
