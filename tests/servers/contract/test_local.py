"""The stories of the contract, told of this machine."""

import pytest
from contract.judged import *  # noqa: F403
from contract.kills import test_killed_at_a_few_writes_of_a_rollout_it_goes_on  # noqa: F401
from contract.places.fixture import place_at
from contract.places.local import LocalPlace
from contract.stories import *  # noqa: F403

pytestmark = pytest.mark.timeout(1800)
place = place_at(LocalPlace)
