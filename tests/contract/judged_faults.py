"""What gets in the way of a rollout that is judged: a newer promotion, a restart, an operator."""

from __future__ import annotations

from typing import Any

from support.load import Load

from contract.judged import RATE, SEVEN, alone, bakes, begun_with, judgement


def paused_at_its_step(place: Any, version: int) -> dict[str, Any]:
    """Promote a version beside the first, and wait until it has shown what the step requires."""
    place.promote("judged", version, 1)
    found: dict[str, Any] = place.wait(
        "judged", lambda d: "an operator to let it leave" in d["message"]
    )
    return found


def test_a_newer_promotion_ends_a_rollout_and_begins_its_own_without_its_evidence(
    place: Any,
) -> None:
    begun_with(place, 1)
    old = place.history("judged")
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        paused_at_its_step(place, 2)
        place.promote("judged", 6, 2)
        seen = place.wait("judged", lambda d: (d["rollout"] or {}).get("version") == "6")
        assert (judgement(seen) or {"requests": 0})["requests"] == 0, "nothing is inherited"
        place.wait("judged", lambda d: "an operator to let it leave" in d["message"])
        place.told("advance", name="judged")
        place.serves("judged", 6)
    assert not load.failed, load.failed[:3]
    done = [
        (each["action"], each["to"])
        for each in place.history("judged")[len(old) :]
        if each["kind"] == "intent"
    ]
    assert done == [
        ("rollout", "2"), ("step", "2"), ("rollout", "6"), ("step", "6"), ("shift", "6"),
    ]  # fmt: skip


def test_a_deployer_that_is_restarted_amid_a_step_goes_on_with_the_evidence(place: Any) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        before = paused_at_its_step(place, 2)
        place.stop()
        place.start()
        seen = place.wait("judged", lambda d: judgement(d).get("outcome") == "pass")
        assert judgement(seen)["requests"] >= judgement(before)["requests"]
        assert judgement(seen)["since"] == judgement(before)["since"]
        assert seen["rollout"]["step"] == 0
        place.told("advance", name="judged")
        place.serves("judged", 2)
    assert not load.failed, load.failed[:3]


def test_a_pause_holds_a_rollout_that_has_shown_enough_and_a_harm_all_the_same_ends_it(
    place: Any,
) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 3, 1)
        place.wait("judged", lambda d: (d["rollout"] or {}).get("step") == 0)
        place.told("pause", name="judged")
        place.wait("judged", lambda d: d["rollout"] is None)
        alone(place, 1)
        place.told("resume", name="judged")
        place.wait("judged", lambda d: d["reason"] == "RolledBack")
    assert {answer.version for answer in load.failed} <= {"3"}


def test_a_tag_in_mlflow_holds_a_rollout_and_ends_it(place: Any) -> None:
    begun_with(place, 1)

    def orders(word: str) -> None:
        place.platform.mlflow.tag(place.model("judged"), 6, place.tag("rollout"), word)

    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        orders("pause")
        place.promote("judged", 6, 1)
        held = place.wait("judged", lambda d: "which says pause" in d["message"])
        assert held["rollout"]["step"] == -1, "it takes no share"
        orders("")
        place.wait("judged", lambda d: (d["rollout"] or {}).get("step") == 0)
        orders("abort")
        seen = place.wait("judged", lambda d: d["reason"] == "Aborted")
        assert "which says abort" in seen["message"]
        alone(place, 1)
        orders("")
    assert not load.failed, load.failed[:3]


def test_a_twin_of_the_champion_takes_as_much_as_the_candidate_and_leaves_with_the_rollout(
    place: Any,
) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        seen = paused_at_its_step(place, 7)
        shares = {(each["role"], each["version"]): each["weight"] for each in seen["predictors"]}
        assert shares == {("champion", "7"): 30, ("twin", "1"): 30, ("champion", "1"): 40}
        place.told("advance", name="judged")
        place.serves("judged", 7)
        alone(place, 7)
    assert not load.failed, load.failed[:3]
    assert load.versions() == {"1", "7"}


def test_a_new_champion_that_an_operator_takes_back_leaves_at_once(place: Any) -> None:
    begun_with(place, 1)
    with Load(place.seen("judged")["url"], rate=RATE, body=SEVEN) as load:
        place.promote("judged", 5, 1)
        kept = bakes(place, 5)
        assert {p["phase"] for p in kept["predictors"]} == {"ready", "standby"}
        place.told("abort", name="judged")
        place.wait("judged", lambda d: d["reason"] == "Aborted")
        alone(place, 1)
    assert not load.failed, load.failed[:3]
