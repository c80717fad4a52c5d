"""The stories of the contract in which a cluster's own ways matter; smoke and nightly have others.

What the Deployer decides alike for every target is told of this machine, in servers/contract.
"""

import pytest
from contract.judged import (  # noqa: F401
    test_a_version_that_fails_more_often_gives_its_traffic_back,
)
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import (  # noqa: F401
    test_a_restart_of_the_deployer_changes_nothing_that_runs,
    test_a_version_takes_over_step_by_step,
    test_killed_at_each_turn_of_a_rollout_it_goes_on,
    test_what_is_changed_by_hand_is_put_back,
    test_what_nothing_promotes_any_more_is_retired_and_nothing_else,
)
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)
place = place_at(lambda home: ClusterPlace(cluster(), home, builds=False))
