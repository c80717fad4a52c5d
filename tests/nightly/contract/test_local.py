"""The stories of the contract, told of this machine."""

import pytest
from contract.judged_faults import *  # noqa: F403
from contract.kills import (  # noqa: F401
    test_killed_after_every_write_of_a_rollout_it_goes_on,
    test_killed_at_a_few_writes_of_a_rollout_it_goes_on,
    test_killed_at_each_turn_the_other_way_round_it_goes_on,
    test_killed_before_every_write_of_a_rollout_it_goes_on,
)
from contract.places.fixture import place_at
from contract.places.local import LocalPlace

pytestmark = pytest.mark.timeout(3600)
place = place_at(LocalPlace)
