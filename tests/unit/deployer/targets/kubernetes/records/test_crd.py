"""Records as ModelDeployments: what they hold, and how they are kept on a real API server."""

from __future__ import annotations

import pytest
from hypothesis import given
from support.kubernetes.drawn_records import RECORDS, SERVED, told

from deployer.status.verdict import State
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.crd import RecordUnreadable


@given(record=RECORDS)
def test_a_record_is_the_same_when_it_is_read_again(record):
    obj = crd.manifest(record, "p1", "prod")
    assert crd.record_of(obj) == record


def test_records_of_equal_specs_share_them():
    one, other = (crd.record_of(crd.manifest(SERVED, "p1", "prod")) for _ in range(2))
    assert one.champion
    assert other.champion
    assert one.champion.spec is other.champion.spec


@pytest.mark.parametrize("spoil", ["format", "record", "nothing"])
def test_a_record_that_cannot_be_read_is_an_error_with_its_place(spoil):
    obj = crd.manifest(SERVED, "p1", "prod")
    if spoil == "format":
        obj["metadata"]["annotations"][crd.FORMAT_NOTE] = "3"
    elif spoil == "record":
        obj["spec"]["record"] = {"id": 3}
    else:
        del obj["spec"]["record"]
    with pytest.raises(RecordUnreadable, match="prod/angler-prod") as caught:
        crd.record_of(obj)
    assert caught.value.hint


def conditions(status: dict) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["lastTransitionTime"]) for c in status["conditions"]}


def test_a_condition_changes_its_time_only_with_its_status():
    first = crd.status_of(told(), 1, "1/1", {}, 0)
    assert first
    at_0, at_9 = "1970-01-01T00:00:00Z", "1970-01-01T00:00:09Z"
    assert conditions(first) == {
        "Ready": ("True", at_0),
        "Progressing": ("False", at_0),
        "Degraded": ("False", at_0),
        "InSync": ("True", at_0),
    }
    assert (first["wanted"], first["serving"], first["ready"]) == ("1", "1", "1/1")
    assert crd.status_of(told(), 1, "1/1", first, 9) is None
    rolling = crd.status_of(told(State.PROGRESSING, "Starting"), 1, "1/1", first, 9)
    assert rolling
    assert conditions(rolling) == {
        "Ready": ("True", at_0),
        "Progressing": ("True", at_9),
        "Degraded": ("False", at_0),
        "InSync": ("True", at_0),
    }
    assert rolling["updatedAt"] == at_9
    broken = crd.status_of(told(State.FAILED, "CrashLoop", weight=0), 1, "0/1", rolling, 9)
    assert broken
    assert [s for s, _ in conditions(broken).values()] == ["False", "False", "True", "True"]
