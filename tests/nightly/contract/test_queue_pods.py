"""The stories of the contract, told of pods that answer a queue."""

import pytest
from contract.kills import *  # noqa: F403
from contract.places.fixture import place_at
from contract.places.queue import ClusterQueuePlace
from contract.queued import *  # noqa: F403
from contract.stories import *  # noqa: F403
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(3600)
place = place_at(lambda home: ClusterQueuePlace(cluster(), home, builds=False))
