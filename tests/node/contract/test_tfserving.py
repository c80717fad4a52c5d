"""The stories of the contract, told of a cluster with TensorFlow Serving (a stand-in)."""

import pytest
from contract.places.fixture import place_at
from contract.places.tfserving import TfservingPlace
from contract.stories import (  # noqa: F401
    test_a_version_takes_over_step_by_step,
    test_a_version_that_cannot_load_leaves_the_old_one_serving,
)
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)
place = place_at(lambda home: TfservingPlace(cluster(), home))
