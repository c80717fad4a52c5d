"""The stories of the contract, told of a cluster."""

import pytest
from contract.kills import (  # noqa: F401
    test_killed_at_each_turn_the_other_way_round_it_goes_on,
    test_killed_at_every_write_of_a_rollout_it_goes_on,
)
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import (  # noqa: F401
    test_a_deployer_that_is_restarted_amid_the_steps_goes_on_from_there,
)
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(3600)
place = place_at(lambda home: ClusterPlace(cluster(), home))
