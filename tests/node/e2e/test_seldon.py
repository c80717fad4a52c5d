"""What can go wrong with Seldon's operator, as the Deployer tells it; no request is lost to it.

The cases were seen with the real operator; a stand-in of it is at work here. What is
true of every target is in tests/contract, which is run for Seldon, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from contract.places.seldon import SeldonPlace
from support.load import Load
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)

BAD: dict[str, dict[str, Any]] = {
    "late": {"kind": "slow-load", "serving": {"rollout": {"ready_timeout": "5s"}}},
    "unheard": {"kind": "constant", "serving": {"rollout": {"ready_timeout": "25s"}}},
    "unknown": {"kind": "constant", "serving": {"seldon": {"shape": "named"}}},
    "unasked": {"kind": "constant"},
}
"""Version 2 of these; versions 1 and 3 are good."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeldonPlace]:
    """Version 1 of each model serves."""
    place = SeldonPlace(cluster(), tmp_path_factory.mktemp("seldon") / "home", builds=False)
    try:
        place.models(
            {"name": name, "say": say} | (bad if say == 2 else {"kind": "constant"})
            for name, bad in BAD.items()
            for say in (1, 2, 3)
        )
        place.start()
        for name in BAD:
            place.alias(name, 1)
        for name in BAD:
            place.serves(name, 1)
        yield place
    finally:
        place.end()


@pytest.fixture
def place(served: SeldonPlace) -> SeldonPlace:
    """With an operator at work, as it comes."""
    served.operator.start()
    return served


def told(place: SeldonPlace, model: str, reason: str, state: str = "Degraded") -> dict[str, Any]:
    """Wait until the Deployer says that it is in a state, and for which reason."""
    return place.wait(model, lambda seen: (seen["state"], seen["reason"]) == (state, reason))


def lost_nothing(load: Load, *versions: int) -> None:
    assert not load.failed, load.failed[:3]
    assert load.versions() == {str(version) for version in versions}


def test_a_version_that_stays_creating_takes_no_request(place):
    with place.load("late") as load:
        place.alias("late", 2)
        wait_for(lambda: place.state("late", 2) == "Creating", "the state", 120)
        seen = told(place, "late", "NotReadyInTime")
        assert "version 1 keeps serving" in seen["message"]
        assert "rollout.ready_timeout" in seen["next_step"]
        wait_for(lambda: 2 not in place.resources("late"), "it to be taken away", 60)
        place.alias("late", 3)
        place.serves("late", 3)
    lost_nothing(load, 1, 3)


def test_an_operator_that_is_not_there_is_told_and_waited_for(place):
    with place.load("unheard") as load:
        place.operator.stop()
        place.alias("unheard", 2)
        seen = told(place, "unheard", "SeldonSilent", state="Progressing")
        assert "does not take it up" in seen["message"]
        seen = told(place, "unheard", "SeldonSilent")
        assert "version 1 keeps serving" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
        place.operator.start()
        place.serves("unheard", 2)  # without an operator's command
    lost_nothing(load, 1, 2)


def test_what_the_operator_cannot_make_is_told_in_its_words(place):
    """Its webhook lets pass what we make, since the container has an image."""
    with place.load("unknown") as load:
        place.alias("unknown", 2)
        seen = told(place, "unknown", "SeldonRefused")
        assert "Failed to get server config for SCHNITZEL_SERVER" in seen["message"]
        assert "version 1 keeps serving" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
    lost_nothing(load, 1)


def test_a_webhook_that_does_not_answer_is_told_and_waited_for(place):
    with place.load("unasked") as load:
        place.operator.die()
        try:
            place.alias("unasked", 2)
            seen = told(place, "unasked", "AdmissionUnavailable")
            assert "version 1 keeps serving" in seen["message"]
        finally:
            place.operator.forgotten()
        place.operator.start()
        place.serves("unasked", 2)  # without an operator's command
    lost_nothing(load, 1, 2)
