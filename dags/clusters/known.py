"""List the clusters by the names that steps use."""

from collections.abc import Mapping

from dags.clusters.base import Cluster
from dags.clusters.local import LocalCluster

CLUSTERS: Mapping[str, Cluster] = {"local": LocalCluster()}
