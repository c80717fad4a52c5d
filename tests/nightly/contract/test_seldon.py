"""The stories of the contract, told of a cluster with Seldon's operator (a stand-in)."""

import pytest
from contract.judged import *  # noqa: F403
from contract.judged_faults import (  # noqa: F401
    test_a_new_champion_that_an_operator_takes_back_leaves_at_once,
)
from contract.kills import (  # noqa: F401
    test_killed_at_a_few_writes_of_a_rollout_it_goes_on,
    test_killed_at_each_turn_the_other_way_round_it_goes_on,
)
from contract.places.fixture import place_at
from contract.places.seldon import SeldonPlace
from contract.stories import *  # noqa: F403
from support.systems.cluster import cluster

# At every write it is killed in test_kubernetes_*.py: same writes, another chart.
pytestmark = pytest.mark.timeout(3600)
place = place_at(lambda home: SeldonPlace(cluster(), home))
