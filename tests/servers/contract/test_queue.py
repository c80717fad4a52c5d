"""Stories of the contract, told of this machine and a queue, and those that only a queue has.

The other stories are nightly, a rollback too: it moves shares as the steps do, and that the last
promotion wins is told of this machine without a queue.
"""

import pytest
from contract.places.fixture import place_at
from contract.places.queue import QueuePlace
from contract.queued import (  # noqa: F401
    test_a_broker_that_is_away_is_told_and_nothing_is_lost,
    test_replicas_follow_the_messages,
)
from contract.stories import (  # noqa: F401
    test_a_version_takes_over_step_by_step,
    test_killed_at_each_turn_of_a_rollout_it_goes_on,
)

pytestmark = pytest.mark.timeout(1800)
place = place_at(QueuePlace)
