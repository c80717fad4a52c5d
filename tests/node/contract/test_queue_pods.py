"""Stories of the contract, told of pods that answer a queue; nightly has the others."""

import pytest
from contract.places.fixture import place_at
from contract.places.queue import ClusterQueuePlace
from contract.stories import test_a_version_takes_over_step_by_step  # noqa: F401
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)
place = place_at(lambda home: ClusterQueuePlace(cluster(), home, builds=False))
