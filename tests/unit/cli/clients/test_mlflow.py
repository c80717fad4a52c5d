"""`registry`: a person's word after a freeze."""

import pytest

from cli import errors

FROZEN = {
    "url": "http://mlflow",
    "state": "Frozen",
    "reason": "MarkerMissing",
    "message": "The registry lost its marker.",
    "next_step": "schnitzel registry accept",
    "listed_at": None,
    "age_seconds": 12.0,
    "models": 0,
    "webhooks": True,
}


@pytest.fixture
def frozen(deployer):
    deployer.answer("GET", "/api/v1/registry", FROZEN)
    deployer.answer("POST", "/api/v1/registry/accept", {"accepted": True})
    return deployer


def test_a_frozen_registry_is_shown_with_its_reason(schnitzel, frozen) -> None:
    shown = schnitzel("registry", "show").out
    for words in ("Frozen", "MarkerMissing", "lost its marker", "12 s ago"):
        assert words in shown


def test_accepting_needs_a_yes(schnitzel, frozen) -> None:
    refused = schnitzel("registry", "accept")
    assert refused.code == errors.USAGE
    assert not frozen.requests("POST")
    assert schnitzel("registry", "accept", "--yes").code == 0
    assert frozen.requests("POST")[0]["headers"]["Authorization"] == "Bearer s3cret"


def test_a_registry_that_is_not_frozen_needs_no_word(schnitzel, frozen) -> None:
    frozen.answer("GET", "/api/v1/registry", {**FROZEN, "state": "Fresh"})
    done = schnitzel("registry", "accept", "-o", "json")
    assert done.code == 0
    assert "nothing to accept" in done.err
    assert done.json["state"] == "Fresh"
    assert not frozen.requests("POST")
