"""Which environments may go: the pure choice, and what a record makes an environment needed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from deployer.python_env.retention import (
    Inventory,
    KeptEnvironment,
    Need,
    User,
    attribute,
    choose,
    decisions,
)
from deployer.state.registry import VersionId

NOW, DAY = 1_800_000_000.0, 86400.0
GRACE = 14 * DAY


def built(
    name: str, days: float = 30, used: float = 30, image: str = "", **more: Any
) -> KeptEnvironment:
    at = {"made_at": NOW - days * DAY, "used_at": NOW - used * DAY}
    return KeptEnvironment(name, image or f"r/e@sha256:{name}", "l", "3.11.2", 1, **at, **more)


def need(version: int, part: Any = "serving", predictor: str = "") -> Need:
    return Need("angler", "prod", VersionId("angler", version, 1), "s3://a", part, predictor)


USER = User("angler", "prod", "3", "serving")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (built("a"), ""),
        (built("a", users=(USER,)), "angler@prod version 3 (serving)"),
        (built("a", users=(USER, USER)), "angler@prod version 3 (serving) and 1 more"),
        (built("a", users=(User("process 42", "", "", "running"),)), "process 42 (running)"),
        (built("a", days=13), "unused, until "),
        (built("a", used=13), "unused, until "),
        (built("a", phase="building"), "it is being built"),
        (built("a", phase="unfinished"), ""),
        (built("a", phase="removing"), ""),
    ],
)
def test_what_is_needed_young_or_being_built_stays(one, said):
    why = decisions(Inventory("r/e", (one,)), NOW, GRACE)["a"]
    assert why.startswith(said)
    assert bool(why) == bool(said)


def test_where_anything_is_not_known_nothing_goes():
    inventory = Inventory("r/e", (built("a"), built("b")), unknown="2 versions")
    assert set(decisions(inventory, NOW, GRACE).values()) == {"2 versions"}
    assert choose(inventory, ["a", "b"], NOW, GRACE)[0] == []


def test_an_image_with_two_names_goes_only_under_both():
    same = "r/e@sha256:same"
    used, unused = built("a", image=same, users=(USER,)), built("b", image=same)
    assert "same as a" in decisions(Inventory("r/e", (used, unused)), NOW, GRACE)["b"]
    free = Inventory("r/e", (replace(used, users=()), unused))
    chosen, kept = choose(free, ["b"], NOW, GRACE)
    assert chosen == []
    assert "which was not named" in kept["b"]
    assert len(choose(free, ["a", "b"], NOW, GRACE)[0]) == 2


def test_only_what_was_named_goes():
    inventory = Inventory("r/e", (built("a"), built("b"), built("c", users=(USER,))))
    chosen, kept = choose(inventory, ["a", "c", "gone"], NOW, GRACE)
    assert [one.name for one in chosen] == ["a"]
    assert set(kept) == {"c"}


@given(
    st.lists(
        st.builds(
            built,
            name=st.text("ab", min_size=1, max_size=3),
            days=st.floats(0, 40),
            used=st.floats(0, 40),
            image=st.sampled_from(["r/e@1", "r/e@2", ""]),
            users=st.sampled_from([(), (USER,)]),
            phase=st.sampled_from(["ready", "building", "unfinished", "removing"]),
        ),
        unique_by=lambda one: one.name,
    ),
    st.sets(st.text("ab", min_size=1, max_size=3)),
)
def test_nothing_in_use_ever_goes_by_whichever_name(everything, names):
    chosen, _ = choose(Inventory("r/e", tuple(everything)), names, NOW, GRACE)
    gone = {one.image for one in chosen}
    for one in everything:
        if one.users or one.phase == "building":
            assert one.image not in gone
    assert {one.name for one in chosen} <= names


def test_what_runs_counts_for_what_it_runs_and_the_rest_for_what_it_asks_for():
    asked: Mapping[int, Any] = {1: ["old"], 2: None, 3: ["never looked at"]}
    needs = [need(3, predictor="p3"), need(1, "previous"), need(2, "candidate")]
    live = {"p3": ["new"], "the pod x/y": ["new", "other"]}
    users, unknown = attribute(needs, live, lambda n: asked[n.version.number])
    assert {name: [u.part for u in who] for name, who in users.items()} == {
        "new": ["serving", "running"], "old": ["previous"], "other": ["running"],
    }  # fmt: skip
    assert unknown.endswith("asked for by angler@prod version 2")
