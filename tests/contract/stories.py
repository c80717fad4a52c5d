"""What a promotion means, wherever models are served: the same stories for every target.

A module of a lane imports the stories that it runs, and makes the `place` that they are told of.
No webhook tells of anything here: what is promoted is found by looking.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

from support.platform.listings import listed
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer

from contract.places.base import GRACE_SECONDS, POLICY, RECORD

STEPS = (10, 50, 90)
GRADUALLY = {"steps": [*STEPS, 100], "step_seconds": "2s"}
MODELS: list[dict[str, Any]] = [
    *({"name": "calm", "kind": "constant", "say": say} for say in (1, 2, 3)),
    *({"name": "kept", "kind": "constant", "say": say} for say in (1, 2, 3)),
    *({"name": "phoenix", "kind": "constant", "say": say} for say in (1, 2)),
    {"name": "brittle", "kind": "constant", "say": 1},
    {"name": "brittle", "kind": "load-error", "say": 2},
    {"name": "lonely", "kind": "constant", "say": 1},
    *({"name": "steady", "kind": "constant", "say": say} for say in (1, 2)),
    {"name": "gradual", "kind": "constant", "say": 1},
    {"name": "gradual", "kind": "constant", "say": 2, "serving": {"rollout": GRADUALLY}},
]


def lost_nothing(load, *versions):
    """Every request was answered, by one of these versions, and each of them answered some."""
    assert not load.failed, load.failed[:3]
    assert load.versions() == {str(version) for version in versions}
    assert all(json.loads(a.body) == {"predictions": [int(a.version)]} for a in load.answers)


def test_a_promotion_by_alias_is_served(place):
    place.alias("calm", 2)
    place.serves("calm", 2, seconds=600)
    assert place.predict("calm") == (200, 2)


def test_an_update_takes_over_without_a_lost_request(place):
    place.brought("calm", 2)
    with place.load("calm") as load:
        place.promote("calm", 3)
        place.serves("calm", 3)
    lost_nothing(load, 2, 3)


def shares(seen) -> dict[str, int]:
    """Read what percent of the requests goes to each version, as the Deployer says."""
    return {one["version"]: one["weight"] for one in seen["predictors"] if one["weight"]}


def took_each_step(place, old) -> list[float]:
    """Check that each step since an old account was taken once and in order, and say when."""
    done = [event for event in place.history("gradual")[len(old) :] if event["kind"] == "intent"]
    names = [e["why"].split(" %")[0] if e["action"] == "step" else e["action"] for e in done]
    assert names == ["rollout", *map(str, STEPS), "shift"]
    return [datetime.fromisoformat(event["at"]).timestamp() for event in done]


def test_a_version_takes_over_step_by_step(place):
    place.brought("gradual", 1)
    old = place.history("gradual")
    told: list[dict[str, int]] = []

    def over(seen) -> bool:
        now = shares(seen)
        settled = place.shifts_at_once or sum(now.values()) == 100
        if now and settled and now not in told[-1:]:
            told.append(now)
        return now == {"2": 100}

    with place.load("gradual") as load:
        place.promote("gradual", 2, 1)
        place.wait("gradual", over)
        place.serves("gradual", 2)
    lost_nothing(load, 1, 2)
    between = [{"1": 100 - share, "2": share} for share in STEPS]
    expected = [{"1": 100}, *between, {"2": 100}]
    assert told == [each for each in expected if each in told], "one may pass unseen, none returns"
    before, first, middle, last = (
        Counter(a.version for a in load.answers if begun <= a.at < ended)
        for begun, ended in pairwise(took_each_step(place, old))
    )
    assert set(before) == {"1"}
    assert first["1"] > first["2"]
    assert set(middle) == {"1", "2"}
    assert last["2"] > last["1"]


def test_a_deployer_that_is_restarted_amid_the_steps_goes_on_from_there(place):
    place.brought("gradual", 1)
    old = place.history("gradual")
    with place.load("gradual") as load:
        place.promote("gradual", 2, 1)
        place.wait("gradual", lambda seen: shares(seen) == {"1": 50, "2": 50})
        place.stop()
        alone = len(load.answers)
        wait_for(lambda: {a.version for a in load.answers[alone:]} >= {"1", "2"}, "both to answer")
        place.start()
        place.serves("gradual", 2)
    lost_nothing(load, 1, 2)
    took_each_step(place, old)


def test_an_older_version_promoted_later_is_a_rollback(place):
    place.brought("calm", 3)
    with place.load("calm") as load:
        place.promote("calm", 1)
        seen = place.serves("calm", 1)
    lost_nothing(load, 3, 1)
    losing = {one["version"]: one["message"] for one in seen["losing"]}
    assert "promoted later" in losing["3"]
    status, url = place.tag("status"), place.tag("url")
    place.wait("calm", lambda _: place.tags("calm", 1) == {status: "Serving", url: seen["url"]})
    place.wait("calm", lambda _: "NotServed" in place.tags("calm", 3)[status])
    assert url not in place.tags("calm", 3)


def test_a_version_that_cannot_load_leaves_the_old_one_serving(place):
    place.brought("brittle", 1)
    with place.load("brittle") as load:
        place.promote("brittle", 2)
        seen = place.wait("brittle", lambda d: d["state"] == "Degraded")
    assert seen["reason"] == "LoadError"
    assert "cannot open the vault" in seen["message"]
    assert "version 1 keeps serving" in seen["message"]
    assert "hunter2" not in str(seen)
    lost_nothing(load, 1)


def test_what_is_changed_by_hand_is_put_back(place):
    place.brought("calm", 1)
    before = place.contents("calm")
    for what in place.meddlings("calm"):
        stamps = place.stamps("calm")
        place.meddlings("calm")[what]()

        def restored(stamps=stamps) -> bool:
            return place.contents("calm") == before and place.stamps("calm") != stamps

        wait_for(restored, f"all to be as it was after {what}", 180, 0.2)
        place.serves("calm", 1)
        wait_for(lambda: place.predict("calm") == (200, 1), f"an answer after {what}", 60)


def test_what_is_changed_by_hand_while_no_deployer_runs_is_put_back(place):
    place.brought("calm", 1)
    before = place.contents("calm")
    place.stop()
    next(iter(place.meddlings("calm").values()))()  # its route is taken away
    assert place.contents("calm") != before
    place.start()
    wait_for(lambda: place.contents("calm") == before, "all to be as it was", 180, 0.2)
    wait_for(lambda: place.predict("calm") == (200, 1), "an answer", 60)


def test_a_restart_of_the_deployer_changes_nothing_that_runs(place, tmp_path):
    place.brought("calm", 1)
    before = place.stamps("calm")
    writes = tmp_path / "writes"
    with place.load("calm") as load:
        place.stop()
        place.start(listing=(writes, "calm"))
        place.looked_at("calm")
    lost_nothing(load, 1)
    assert writes.read_text() == ""
    assert place.stamps("calm") == before


def test_the_record_is_kept_over_a_restart(place):
    """Version 3 is the highest and serves; that 1 was promoted after it, only the record tells."""

    def wants(version):
        return place.wait("kept", lambda d: (d["wanted"] or {}).get("version") == version)

    place.brought("kept", 3)
    place.told("pause", "--reason", "the launch", name="kept")
    for version in (1, 2):
        place.promote("kept", version)
        before = wants(str(version))
    events = place.history("kept")
    place.stop()
    place.archive("kept", 2)
    place.start()
    seen = wants("1")
    assert [one["version"] for one in seen["losing"]] == ["3"]
    assert seen["sync"] == "Paused"
    assert seen["paused"] == before["paused"]
    assert seen["paused"]["reason"] == "the launch"
    assert place.history("kept")[: len(events)] == events
    assert place.predict("kept") == (200, 3)
    place.told("resume", name="kept")
    place.serves("kept", 1)


def test_killed_at_each_turn_of_a_rollout_it_goes_on(place):
    killed_at_each_turn(place, "before", "after", "after", "before")


def killed_at_each_turn(place, *sides):
    """Kill the Deployer just before or after the write that makes each turn of a rollout."""
    place.brought("phoenix", 1)
    with place.load("phoenix") as load:
        place.stop()
        place.promote("phoenix", 2, 1)
        for (turn, write), side in zip(place.turns.items(), sides, strict=True):
            assert place.killed("phoenix", write, side), turn
            assert not load.failed, f"{side} {turn}"
        place.start()
        place.serves("phoenix", 2)
    lost_nothing(load, 1, 2)


def test_what_nothing_promotes_any_more_is_retired_and_nothing_else(place):
    for name in ("calm", "lonely"):
        place.brought(name, 1)
    url = place.seen("lonely")["url"]
    before = place.stamps("calm")
    began = time.monotonic()
    place.archive("lonely", 1)
    place.wait("lonely", lambda d: d["state"] == "NothingPromoted")
    listed(place.platform, POLICY["retire_listings"])
    place.wait("lonely", lambda d: d["state"] == "Retired" and not d["predictors"])
    assert time.monotonic() - began >= GRACE_SECONDS
    wait_for(lambda: set(place.things("lonely")) == {RECORD}, "everything of it to be gone", 60)
    assert place.platform.client.get(f"{url}ping").status_code == 404
    events = place.history("lonely")
    assert events[-1]["action"] == "retired"
    assert [event["action"] for event in events if event["kind"] == "intent"][-1] == "retire"
    assert place.stamps("calm") == before


def test_an_empty_registry_takes_nothing_away(place):
    """Of steady an alias names version 2, and version 1 serves, which was promoted after it."""
    served = {"steady": 1, "kept": 1, "phoenix": 2}
    place.alias("steady", 2)
    place.serves("steady", 2, seconds=600)
    for name, version in served.items():
        place.brought(name, version)
    assert ("2", f"alias {place.alias_name}") in [
        (one["version"], one["via"]) for one in place.seen("steady")["losing"]
    ]
    before = {name: place.stamps(name) for name in served}
    place.registry.mode = "empty"
    try:
        listed(place.platform, POLICY["retire_listings"] + 2)
        for name, version in served.items():
            place.looked_at(name)
            assert place.seen(name)["state"] == "Serving"
            after = place.stamps(name)
            assert after | {RECORD: before[name][RECORD]} == before[name]
            assert place.predict(name) == (200, version)
    finally:
        place.registry.mode = "ok"
    for name, version in served.items():
        place.serves(name, version)
        assert place.stamps(name) | {RECORD: before[name][RECORD]} == before[name]


def test_another_registry_in_the_old_ones_place_changes_nothing(place, tmp_path):
    """A lost volume: the same address, and nothing that was promoted; a person says what to do."""

    def registry_is(state: str) -> dict[str, str]:
        def look() -> dict[str, str] | None:
            seen: dict[str, str] = place.platform.api("registry")
            return seen if seen["state"] == state else None

        return wait_for(look, f"the registry to be {state}", 60)

    place.brought("calm", 1)
    before, own = place.stamps("calm"), place.registry.upstream
    other = MlflowServer(tmp_path / "other")
    try:
        place.registry.upstream = other.start().url
        told = registry_is("Frozen")["message"]
        assert "no longer carries this platform's marker" in told
        place.wait("calm", lambda d: d["sync"] == "Frozen")
        assert "Frozen" in place.platform.cli("status")
        place.looked_at("calm")
        assert place.stamps("calm") | {RECORD: ""} == before | {RECORD: ""}
        assert place.predict("calm") == (200, 1)
    finally:
        place.registry.upstream = own
        other.close()
    registry_is("Frozen")  # the old one is back, and it is still a person's to say so
    place.platform.cli("registry", "accept", "--yes")
    registry_is("Fresh")
    place.promote("calm", 2, 1)
    place.serves("calm", 2)
