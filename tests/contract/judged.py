"""Stories of rollouts that are judged by evidence, for every target."""

from __future__ import annotations

from typing import Any

from support.load import Load

JUDGED: dict[str, Any] = {
    "rollout": {"steps": [{"weight": 30, "require": "not_worse", "pause": True}, 100]},
    "analysis": {
        "warmup": 0,
        "min_requests": 50,
        "metrics": {"errors": {"worse_by": "10pp"}, "rejected": None, "latency": None},
    },
}
BAKED: dict[str, Any] = {
    "rollout": {"steps": [100], "bake": "10m"},
    "analysis": JUDGED["analysis"],
}
TWIN: dict[str, Any] = {**JUDGED, "analysis": {**JUDGED["analysis"], "baseline": "twin"}}
SEVEN = b'{"dataframe_split": {"columns": ["x"], "data": [[7.0]]}}'
RATE = 50
"""Requests per second: as many windows decide at a share of 30 % as would with twice as many."""
MODELS: list[dict[str, Any]] = [
    {"name": "judged", "kind": "constant", "say": 1},
    {"name": "judged", "kind": "constant", "say": 2, "serving": JUDGED},
    {"name": "judged", "kind": "raises-at-seven", "say": 3, "serving": JUDGED},
    {"name": "judged", "kind": "raises-at-seven", "say": 4, "serving": BAKED},
    {"name": "judged", "kind": "constant", "say": 5, "serving": BAKED},
    {"name": "judged", "kind": "constant", "say": 6, "serving": JUDGED},
    {"name": "judged", "kind": "constant", "say": 7, "serving": TWIN},
]


def judgement(seen: dict[str, Any]) -> dict[str, Any]:
    """What the candidate's evidence amounts to; nothing without any."""
    return (seen.get("rollout") or {}).get("judgement") or {}


def begun_with(place: Any, version: int) -> None:
    """Have a version serve; the models are there from the first story on."""
    if not place.seen("judged"):
        place.models(MODELS)
    wanted = (place.seen("judged").get("wanted") or {}).get("version", str(version))
    if wanted != str(version):  # a rollout that was ended leaves its version promoted
        place.promote("judged", version, int(wanted))
    place.brought("judged", version)


def alone(place: Any, version: int) -> None:
    """Wait until nothing but the champion is left."""
    place.wait("judged", lambda d: [p["version"] for p in d["predictors"]] == [str(version)])


def test_a_version_that_is_as_good_takes_over_once_it_has_shown_so(place: Any) -> None:
    begun_with(place, 1)
    old = place.history("judged")
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 2, 1)
        seen = place.wait("judged", lambda d: "an operator to let it leave" in d["message"])
        assert seen["reason"] == "Analysing"
        assert judgement(seen)["outcome"] == "pass"
        assert [step["weight"] for step in seen["rollout"]["steps"]] == [30, 100]
        drawn = place.told("rollout", name="judged")
        assert "errors" in drawn
        assert "not_worse, an operator" in drawn
        place.told("advance", name="judged")
        place.serves("judged", 2)
    assert not load.failed, load.failed[:3]
    done = [e for e in place.history("judged")[len(old) :] if e["kind"] == "intent"]
    assert [each["action"] for each in done] == ["rollout", "step", "shift"]
    assert "errors 0 % of" in done[-1]["why"]
    assert "not_worse" in place.told("evidence", name="judged")
    stricter = place.told("evidence", "--with", "min_requests=1000000", name="judged")
    assert "too few requests" in stricter


def test_a_version_that_fails_more_often_gives_its_traffic_back(place: Any) -> None:
    begun_with(place, 2)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 3, 2)
        seen = place.wait("judged", lambda d: d["reason"] == "RolledBack")
        assert seen["state"] == "Degraded"
        assert "errors" in seen["message"]
        assert "version 2 keeps serving" in seen["message"]
        alone(place, 2)
        begun = len(load.answers)
    assert {answer.version for answer in load.failed} == {"3"}
    assert len(load.failed) < len(load.answers) / 2, "the canary's share, and no more"
    assert not [answer for answer in load.answers[begun:] if answer.status != 200]
    assert place.looked_at("judged")["reason"] == "RolledBack", "it is not tried again"


def test_a_rollout_that_an_operator_ends_is_over(place: Any) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 2, 1)
        place.wait("judged", lambda d: (d["rollout"] or {}).get("step") == 0)
        place.told("abort", "--reason", "wrong labels", name="judged")
        seen = place.wait("judged", lambda d: d["reason"] == "Aborted")
        assert "wrong labels" in seen["message"]
        alone(place, 1)
    assert not load.failed, load.failed[:3]
    assert place.looked_at("judged")["reason"] == "Aborted"


def bakes(place: Any, version: int) -> dict[str, Any]:
    """Wait until a version has all of the traffic and the one before is warm."""

    def baking(seen: dict[str, Any]) -> bool:
        bake = (seen["rollout"] or {}).get("bake")
        return seen["state"] == "Serving" and seen["serving"]["version"] == str(version) and bake

    found: dict[str, Any] = place.wait("judged", baking)
    return found


def test_a_version_that_fails_once_it_has_all_of_the_traffic_gives_it_back(place: Any) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 4, 1)
        bakes(place, 4)
        seen = place.wait("judged", lambda d: d["reason"] == "RolledBack")
        assert "after it took all of the traffic: errors" in seen["message"]
        alone(place, 1)
        begun = len(load.answers)
        assert place.looked_at("judged")["reason"] == "RolledBack", "it is not tried again"
    assert {answer.version for answer in load.failed} == {"4"}
    assert not [answer for answer in load.answers[begun:] if answer.status != 200]
