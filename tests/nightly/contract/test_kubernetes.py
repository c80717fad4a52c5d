"""The stories of the contract, told of a cluster."""

import pytest
from contract.judged import (  # noqa: F401
    test_a_version_that_fails_once_it_has_all_of_the_traffic_gives_it_back,
)
from contract.judged_faults import (  # noqa: F401
    test_a_deployer_that_is_restarted_amid_a_step_goes_on_with_the_evidence,
    test_a_new_champion_that_an_operator_takes_back_leaves_at_once,
    test_a_newer_promotion_ends_a_rollout_and_begins_its_own_without_its_evidence,
    test_a_tag_in_mlflow_holds_a_rollout_and_ends_it,
    test_a_twin_of_the_champion_takes_as_much_as_the_candidate_and_leaves_with_the_rollout,
)
from contract.kills import (  # noqa: F401
    test_killed_at_each_turn_the_other_way_round_it_goes_on,
)
from contract.places.fixture import place_at
from contract.places.kubernetes import ClusterPlace
from contract.stories import (  # noqa: F401
    test_a_deployer_that_is_restarted_amid_the_steps_goes_on_from_there,
    test_an_empty_registry_takes_nothing_away,
    test_another_registry_in_the_old_ones_place_changes_nothing,
    test_the_record_is_kept_over_a_restart,
    test_what_is_changed_by_hand_while_no_deployer_runs_is_put_back,
)
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(3600)
place = place_at(lambda home: ClusterPlace(cluster(), home))
