"""The stories of the contract, told of this machine and a queue."""

import pytest
from contract.judged import (  # noqa: F401
    test_a_version_that_is_as_good_takes_over_once_it_has_shown_so,
)
from contract.judged_faults import (  # noqa: F401
    test_a_new_champion_that_an_operator_takes_back_leaves_at_once,
)
from contract.kills import *  # noqa: F403
from contract.places.fixture import place_at
from contract.places.queue import BusyQueuePlace
from contract.stories import *  # noqa: F403

pytestmark = pytest.mark.timeout(3600)
place = place_at(BusyQueuePlace)
