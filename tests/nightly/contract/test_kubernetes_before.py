"""A cluster whose Deployer is killed before each write: a module by itself, since it is long."""

import pytest
from contract.kills import test_killed_before_every_write_of_a_rollout_it_goes_on  # noqa: F401
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(3600)
place = place_at(lambda home: ClusterPlace(cluster(), home))
