"""The stories of the contract, told of this machine.

Nightly are those that join what others prove by day: a kill at a write that is drawn (each turn of
a rollout is here), and an operator's word during a bake (an abort is here, and a bake).
"""

import pytest
from contract.judged import *  # noqa: F403
from contract.places.fixture import place_at
from contract.places.local import LocalPlace
from contract.stories import *  # noqa: F403

pytestmark = pytest.mark.timeout(1800)
place = place_at(LocalPlace)
