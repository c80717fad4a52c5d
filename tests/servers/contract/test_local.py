"""The stories of the contract, told of this machine."""

import pytest
from contract.places.fixture import place_at
from contract.places.local import LocalPlace
from contract.stories import *  # noqa: F403

pytestmark = pytest.mark.timeout(1800)
place = place_at(LocalPlace)
