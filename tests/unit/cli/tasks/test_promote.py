"""Promotion: what it would change is worked out before anything does."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from cli.errors import UsageError
from cli.tasks.promote import prepare

STAGES = ["None", "Staging", "Production", "Archived"]
PROD = {"name": "prod", "stage": "Production", "alias": "champion"}


@st.composite
def registries(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 6))
    holder = draw(st.none() | st.integers(1, count))
    return [
        {
            "name": "angler",
            "version": str(number),
            "current_stage": draw(st.sampled_from(STAGES)),
            "aliases": ["champion"] if number == holder else [],
            "status": "READY",
        }
        for number in range(1, count + 1)
    ]


@given(registries(), st.data())
def test_afterwards_the_version_alone_is_promoted(
    versions: list[dict[str, Any]], data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(versions))
    found = prepare(versions, chosen, PROD)
    alias = {v["version"] for v in versions if "champion" in v["aliases"]}
    stage = {v["version"] for v in versions if v["current_stage"] == "Production"}
    if found.alias:
        alias = {found.version}
    if found.stage:
        stage = (stage - set(found.archived)) | {found.version}
    assert alias == stage == {chosen["version"]}


@given(registries(), st.data())
def test_a_promotion_that_is_done_already_changes_nothing(
    versions: list[dict[str, Any]], data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(versions))
    for each in versions:
        mine = each is chosen
        each["aliases"] = ["champion"] if mine else []
        each["current_stage"] = "Production" if mine else "Archived"
    found = prepare(versions, chosen, PROD)
    assert not found.pending
    assert found.lines() == []


def test_an_environment_with_an_alias_alone_moves_no_stage() -> None:
    version = {"name": "a", "version": "1", "current_stage": "None", "aliases": []}
    found = prepare([version], version, {"name": "eu", "alias": "eu-live", "stage": None})
    assert found.lines() == ["alias eu-live: none -> 1"]


@pytest.mark.parametrize(
    ("version", "environment", "words"),
    [
        ({"status": "PENDING_REGISTRATION"}, PROD, "PENDING_REGISTRATION"),
        ({}, {"name": "odd", "alias": None, "stage": None}, "neither a stage nor an alias"),
    ],
)
def test_what_cannot_be_promoted_is_refused(
    version: dict[str, str], environment: dict[str, Any], words: str
) -> None:
    full = {"name": "a", "version": "1", "current_stage": "None", "aliases": [], **version}
    with pytest.raises(UsageError, match=words):
        prepare([full], full, environment)
