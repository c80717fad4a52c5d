"""What was found as wanted is known again, over a restart too, until anything of it changes."""

from __future__ import annotations

import copy

import pytest
from support.kubernetes.noted import BOTH, LABELS, noted, packed, whole

from deployer.targets.kubernetes.apply.unchanged import BATCH, Unchanged
from deployer.targets.kubernetes.client.errors import Unavailable


def test_after_a_restart_what_is_unchanged_is_known_again(kept):
    noted(kept, "angler-prod")
    again = Unchanged("tests", kept)
    assert again.holds("angler-prod", "inputs", packed(*BOTH))
    assert again.holds("angler-prod", "inputs", packed(*reversed(BOTH)))
    assert not again.holds("angler-prod", "other inputs", packed(*BOTH))
    assert not again.holds("other-prod", "inputs", packed(*BOTH))
    assert not Unchanged("other", kept).holds("angler-prod", "inputs", packed(*BOTH))


def changed() -> dict[str, list[dict]]:
    deployment, service = (copy.deepcopy(one) for one in BOTH)
    field = copy.deepcopy(service)
    field["spec"]["ports"][0]["port"] = 9
    meta = service["metadata"]
    return {
        "a field": [deployment, field],
        "a label": [deployment, service | {"metadata": meta | {"labels": LABELS | {"by": "hand"}}}],
        "an owner": [
            deployment, service | {"metadata": meta | {"ownerReferences": [{"uid": "theirs"}]}}
        ],
        "another object of that name": [deployment, service | {"metadata": meta | {"uid": "new"}}],
        "one that is being deleted": [
            deployment, service | {"metadata": meta | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
        ],
        "one that is gone": [deployment],
        "one more": [deployment, service, whole("ConfigMap")],
        "all gone": [],
    }  # fmt: skip


@pytest.mark.parametrize("what", changed())
def test_what_changed_while_no_deployer_ran_is_seen(kept, what):
    noted(kept, "angler-prod")
    assert not Unchanged("tests", kept).holds("angler-prod", "inputs", packed(*changed()[what]))


def test_what_is_only_reported_of_an_object_is_no_change(kept):
    noted(kept, "angler-prod")
    meta = {"resourceVersion": "9", "generation": 2, "managedFields": []}
    told = [whole(one["kind"], **meta) | {"status": {}} for one in BOTH]
    ours = [whole("Pod"), whole("ModelDeployment")]
    assert Unchanged("tests", kept).holds("angler-prod", "inputs", packed(*told, *ours))


def test_many_notes_are_few_writes_and_no_change_is_none(kept):
    names = [f"m{number}-prod" for number in range(2 * BATCH + 1)]
    unchanged = noted(kept, *names)
    assert kept.writes == 3
    for name in names:
        unchanged.note(name, "inputs", packed(*BOTH))
    unchanged.close()
    assert kept.writes == 3
    again = Unchanged("tests", kept)
    assert all(again.holds(name, "inputs", packed(*BOTH)) for name in names)


def test_what_went_is_forgotten(kept):
    unchanged = noted(kept, "angler-prod", "other-prod")
    unchanged.forget("angler-prod")
    assert not unchanged.holds("angler-prod", "inputs", packed(*BOTH))
    unchanged.close()
    assert list(kept.get_all("steady/")) == ["steady/tests/other-prod"]


def test_what_went_while_no_deployer_ran_is_forgotten(kept):
    noted(kept, "angler-prod", "other-prod")
    again = Unchanged("tests", kept, lambda: {"angler-prod"})
    assert again.holds("angler-prod", "inputs", packed(*BOTH))
    again.close()
    assert list(kept.get_all("steady/")) == ["steady/tests/angler-prod"]


def test_nothing_is_forgotten_while_the_cluster_cannot_be_seen(kept):
    def blind() -> set[str]:
        raise Unavailable("It is still being listed.")

    noted(kept, "angler-prod")
    again = Unchanged("tests", kept, blind)
    assert again.holds("angler-prod", "inputs", packed(*BOTH))
    again.close()
    assert list(kept.get_all("steady/")) == ["steady/tests/angler-prod"]


def test_one_that_stood_by_finds_what_the_other_wrote(kept):
    waiting = Unchanged("tests", kept)
    waiting.forget("gone-prod")
    noted(kept, "angler-prod")
    assert waiting.holds("angler-prod", "inputs", packed(*BOTH))


def test_a_database_that_fails_fails_no_pass_and_the_process_remembers(kept):
    kept.broken = True
    unchanged = noted(kept, "angler-prod")
    assert unchanged.holds("angler-prod", "inputs", packed(*BOTH))
    kept.broken = False
    unchanged.note("other-prod", "inputs", packed(*BOTH))
    unchanged.close()
    assert list(kept.get_all("steady/")) == ["steady/tests/other-prod"]
