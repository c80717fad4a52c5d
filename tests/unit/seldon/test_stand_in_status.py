"""The stand-in of the operator: what it says of a resource, which may be another than it seems."""

import pytest
from standins.seldon import status
from standins.seldon.objects import Wanted


def told(counts, conditions=(), services=True):
    deployment = {"metadata": {"name": "d"}, "status": {**counts, "conditions": list(conditions)}}
    service = {"metadata": {"name": "s"}}
    wanted = Wanted([deployment], [service], "http://s/")
    return status.status(wanted, {"d": deployment}, {"s": service} if services else {})


def condition(kind, state, reason=""):
    return {"type": kind, "status": state, "reason": reason}


STUCK = condition("Progressing", "False", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("counts", "conditions", "state"),
    [
        ({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}, (), "Available"),
        ({"replicas": 1, "unavailableReplicas": 1}, (), "Creating"),
        ({}, (), "Creating"),
        # in the middle of a roll: three available, one of them new
        ({"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1}, (), "Available"),
        # an update that never gets ready, with the old pods alive
        (
            {"replicas": 3, "readyReplicas": 2, "unavailableReplicas": 1},
            (STUCK, condition("Available", "True")),
            "Creating",
        ),
        # a first install that never gets ready
        (
            {"replicas": 1, "unavailableReplicas": 1},
            (STUCK, condition("Available", "False")),
            "Failed",
        ),
    ],
)
def test_state(counts, conditions, state):
    found = told(counts, conditions)
    assert found["state"] == state
    ready = "True" if state == "Available" else "False"
    assert found["conditions"][0]["status"] == ready
    assert "observedGeneration" not in found


def test_it_is_not_available_before_its_services_are_there():
    counts = {"replicas": 1, "readyReplicas": 1}
    assert told(counts, services=False)["state"] == "Creating"


def test_two_predictors_of_one_name_stay_creating():
    found = {"metadata": {"name": "d"}, "status": {"replicas": 1, "readyReplicas": 1}}
    assert status.status(Wanted([found]), {"d": found}, {})["state"] == "Available"
    assert status.status(Wanted([found, found]), {"d": found}, {})["state"] == "Creating"


def test_the_address_is_there_when_something_answers():
    assert told({})["address"] == {"url": "http://s/"}
    assert "address" not in status.status(Wanted(), {}, {})
    assert status.status(Wanted(), {}, {})["state"] == "Available"
