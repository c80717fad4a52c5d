"""Some stories of the contract, told of this machine and a queue; the others are nightly."""

import pytest
from contract.places.fixture import place_at
from contract.places.queue import QueuePlace
from contract.stories import (  # noqa: F401
    test_a_version_takes_over_step_by_step,
    test_a_version_that_cannot_load_leaves_the_old_one_serving,
    test_an_older_version_promoted_later_is_a_rollback,
    test_an_update_takes_over_without_a_lost_request,
    test_killed_at_each_turn_of_a_rollout_it_goes_on,
)

pytestmark = pytest.mark.timeout(1800)
place = place_at(QueuePlace)
