"""The stories of the contract, told of a cluster, but for those of node/smoke and nightly."""

import pytest
from contract.kills import test_killed_at_a_few_writes_of_a_rollout_it_goes_on  # noqa: F401
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import *  # noqa: F403
from support.systems.cluster import cluster

del test_a_deployer_that_is_restarted_amid_the_steps_goes_on_from_there  # noqa: F821
del test_a_promotion_by_alias_is_served  # noqa: F821
del test_a_version_that_cannot_load_leaves_the_old_one_serving  # noqa: F821
del test_an_older_version_promoted_later_is_a_rollback  # noqa: F821
del test_an_update_takes_over_without_a_lost_request  # noqa: F821

pytestmark = pytest.mark.timeout(1800)
place = place_at(lambda home: ClusterPlace(cluster(), home, builds=False))
