"""The stories of the contract, told of a cluster."""

import pytest
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import *  # noqa: F403
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(900)
place = place_at(lambda home: ClusterPlace(cluster(), home))
