"""Verdicts on candidates, from what real counters of model servers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.judging import BEGIN, SPEC, Canary, predictor
from support.run.wait import wait_for

from deployer.analysis.criteria import criteria_of, policy_digest
from deployer.analysis.judging import Judging
from deployer.errors import DatabaseUnavailable
from deployer.spec.model import ServingSpec
from deployer.spec.rollout import RateLimits
from deployer.state.evidence import Outcome, Verdict
from deployer.state.predictor import Predictor
from deployer.state.record import Candidate, Draining, Record
from deployer.store.evidence import EvidenceStore
from deployer.store.sqlite import Database


@pytest.fixture
def canary() -> Any:
    made = Canary()
    yield made
    made.judging.close()


def test_a_step_passes_once_there_are_enough_requests_after_the_warm_up(canary: Canary) -> None:
    canary.passes()
    found = canary.serves(2, 15)  # the first window is the warm-up
    assert found
    assert (found.outcome, found.message) == (Outcome.NO_DATA, "15 of 20 requests of each version")
    found = canary.serves(1, 15)
    assert found
    assert (found.outcome, found.requests) == (Outcome.PASS, 30)
    assert (found.subject, found.baseline, found.step) == ("digest-2", "digest-1", 0)
    assert (found.since, found.until) == (BEGIN + 10, BEGIN + 30)


def test_harm_is_shown_with_its_numbers(canary: Canary) -> None:
    canary.passes()
    found = canary.serves(3, 20, errors=10)
    assert found
    assert found.outcome is Outcome.FAIL
    assert found.message.startswith("errors 50 % of 40 requests, of the champion 0 % of 360")


def test_an_undecided_step_says_how_many_more_requests_it_takes(canary: Canary) -> None:
    canary.record = at_step(canary.record, 1, BEGIN)
    canary.passes()
    found = canary.serves(4, 20, champions=1)
    assert found
    assert found.outcome is Outcome.UNDECIDED
    assert "more requests" in found.message


def at_step(record: Record, step: int, since: float | None) -> Record:
    assert record.candidate
    return replace(record, candidate=replace(record.candidate, step=step, step_since=since))


def test_another_step_shows_anew_what_it_requires(canary: Canary) -> None:
    canary.passes()
    canary.serves(3, 20)
    canary.record = at_step(canary.record, 1, canary.now)
    found = canary.passes()
    assert found
    assert (found.step, found.outcome, found.requests) == (1, Outcome.NO_DATA, 0)
    assert found.since > canary.now


def test_nothing_counts_while_the_gateway_does_not_serve_the_step_yet(canary: Canary) -> None:
    unconfirmed = at_step(canary.record, 0, None)
    canary.record = unconfirmed
    canary.passes()
    found = canary.serves(3, 20, errors=20)
    assert found
    assert (found.outcome, found.requests) == (Outcome.NO_DATA, 0)
    canary.record = at_step(canary.record, 0, canary.now)
    canary.serves(3, 20)
    canary.record = at_step(canary.record, 1, None)
    found = canary.serves(3, 20, errors=20)
    assert found
    assert (found.step, found.outcome, found.requests) == (1, Outcome.NO_DATA, 0)


def test_a_step_whose_requests_go_elsewhere_has_no_data(canary: Canary) -> None:
    canary.passes()
    for _ in range(4):
        for number in range(200):
            canary.servers["v1" if number < 100 else "v2"].record_answer("ok", 0.01)
        canary.now += 10
        found = canary.passes()
    assert found
    assert (found.outcome, found.reason) == (Outcome.NO_DATA, "SplitNotAsAsked")
    assert found.message == "300 of 600 requests reached it, 50 %, and not 10 %"


def test_another_candidate_inherits_nothing(canary: Canary) -> None:
    canary.passes()
    canary.serves(3, 20, errors=20)
    third = Candidate(predictor(3), canary.now, 0, canary.now)
    canary.servers["v3"] = canary.servers["v2"]
    canary.record = replace(canary.record, candidate=third)
    found = canary.passes()
    assert found
    assert (found.subject, found.outcome) == ("digest-3", Outcome.NO_DATA)


def test_another_policy_begins_without_evidence(canary: Canary) -> None:
    canary.passes()
    canary.serves(3, 20)
    spec = SPEC.model_copy(
        update={"analysis": SPEC.analysis.model_copy(update={"min_requests": 5})}
    )
    assert canary.record.candidate
    changed = replace(canary.record.candidate, predictor=predictor(2, spec), step_since=None)
    canary.record = replace(canary.record, candidate=changed)
    found = canary.passes()
    assert found
    assert (found.requests, found.policy) == (0, policy_digest(spec))


@pytest.mark.parametrize("silent", ["v1", "v2"])
def test_a_silent_server_is_no_data_and_never_a_success(canary: Canary, silent: str) -> None:
    canary.passes()
    found = canary.serves(3, 20)
    assert found
    assert found.outcome is Outcome.PASS
    canary.silent.add(silent)
    found = canary.serves(5, 20)
    assert found
    assert (found.outcome, found.message) == (
        Outcome.NO_DATA,
        "not every replica was read for 30 s",
    )
    canary.silent.clear()
    found = canary.serves(1, 20)
    assert found
    assert (found.outcome, found.requests) == (Outcome.PASS, 160), "nothing of it was lost"


def test_a_server_that_is_none_of_ours_is_named(canary: Canary) -> None:
    canary.passes()
    canary.servers["v2"] = type("Other", (), {"to_json": lambda _: {"hello": 1}})()  # type: ignore[assignment]
    canary.now += 60
    found = canary.passes()
    assert found
    assert found.outcome is Outcome.NO_DATA
    assert "windows cannot be read" in found.message


def test_nobody_reads_without_a_canary_nor_for_a_preview(canary: Canary) -> None:
    nobody = replace(canary.record, candidate=None)
    plain = predictor(2, ServingSpec.model_validate({"rollout": {"steps": [10, 100]}}))
    by_time = replace(canary.record, candidate=Candidate(plain, BEGIN, 0, BEGIN))
    for record in (nobody, by_time, at_step(canary.record, -1, BEGIN)):
        assert canary.judging.verdict(record, canary.read) is None
    assert canary.judging.verdict(canary.record, None) is not None
    assert canary.reads == 0


def test_a_read_that_breaks_is_no_data(canary: Canary) -> None:
    def broken(_: Predictor) -> Mapping[str, bytes]:
        raise OSError("the cluster is away")

    canary.judging.verdict(canary.record, broken)
    wait_for(lambda: canary.reported, "the reading to end")
    canary.now += 60
    found = canary.judging.verdict(canary.record, None)
    assert found
    assert found.outcome is Outcome.NO_DATA
    assert "the cluster is away" in found.message


def test_the_section_analysis_is_what_is_judged() -> None:
    found = criteria_of(ServingSpec())
    assert found.rates == {
        "errors": RateLimits(worse_by=0.02),
        "rejected": RateLimits(worse_by=0.02),
    }
    assert (found.latency, found.distance) == ({"p50": 1.2, "p99": 1.2}, None)
    text = {
        "min_requests": 7,
        "metrics": {
            "errors": {"max": "5%"},
            "rejected": None,
            "latency": {"p50": None, "p99": "1.5x"},
            "answers": {"distance": "20%"},
        },
    }
    asked = criteria_of(ServingSpec.model_validate({"analysis": text}))
    assert asked.rates == {"errors": RateLimits(max=0.05)}
    assert (asked.min_requests, asked.latency, asked.distance) == (7, {"p99": 1.5}, 0.2)


def bakes(canary: Canary, spec: ServingSpec = SPEC) -> None:
    """The candidate took all of the traffic just now, after five minutes of the old version."""
    canary.now = BEGIN - 100
    for _ in range(10):
        for number in range(90):
            canary.servers["v1"].record_answer("model_error" if number < 1 else "ok", 0.01)
        canary.now += 10
    record = Record("angler-prod", "angler", "prod").with_champion(predictor(2, spec), BEGIN)
    warm = Draining(predictor(1, spec), keep_until=BEGIN + 600)
    canary.record = replace(record, draining=(warm,))


def alone(canary: Canary, windows: int, requests: int, **answer: Any) -> Verdict:
    for _ in range(windows):
        for number in range(requests):
            failed = number < answer.get("errors", 0)
            seconds = answer.get("seconds", 0.01)
            canary.servers["v2"].record_answer("model_error" if failed else "ok", seconds)
        canary.now += 10
        found = canary.passes()
    assert found
    return found


def test_a_new_champion_is_compared_with_what_the_old_one_counted_before(canary: Canary) -> None:
    bakes(canary)
    canary.passes()
    found = alone(canary, 1, 15)
    assert (found.outcome, found.message) == (Outcome.NO_DATA, "15 of 20 requests of each version")
    found = alone(canary, 1, 15)
    assert (found.subject, found.baseline, found.outcome) == ("digest-2", "digest-1", Outcome.PASS)
    assert found.message == "errors 0 % of 30 requests, before it 1.11 % of 900"
    assert (found.since, found.until, found.requests) == (BEGIN, BEGIN + 20, 30)


def test_a_new_champion_that_fails_is_found_out_at_once_and_though_it_gets_few_requests(
    canary: Canary,
) -> None:
    bakes(canary)
    canary.passes()
    found = alone(canary, 1, 5, errors=5)
    assert found.outcome is Outcome.FAIL
    assert found.message == "errors 100 % of 5 requests, before it 1.11 % of 900"


@pytest.mark.parametrize(("judged", "outcome"), [(True, Outcome.FAIL), (False, Outcome.PASS)])
def test_a_slow_new_champion_does_harm_where_steps_were_judged(
    canary: Canary, judged: bool, outcome: Outcome
) -> None:
    asked = SPEC.analysis.model_dump(mode="json")
    plain = ServingSpec.model_validate({"analysis": asked})
    bakes(canary, SPEC if judged else plain)
    canary.passes()
    found = alone(canary, 25, 30, seconds=0.05)
    assert found.outcome is outcome
    assert {one.metric for one in found.metrics} >= (
        {"latency.p99"} if judged else {"errors", "rejected", "constant_answers"}
    )


def test_without_requests_or_without_the_old_server_a_bake_has_no_data(canary: Canary) -> None:
    bakes(canary)
    canary.silent.add("v1")
    canary.passes()
    assert alone(canary, 5, 30, errors=30).outcome is Outcome.NO_DATA
    canary.silent.clear()
    assert alone(canary, 1, 0).outcome is Outcome.FAIL


def test_nothing_is_read_once_the_old_version_is_gone(canary: Canary) -> None:
    bakes(canary)
    canary.passes()
    canary.record = replace(canary.record, draining=())
    reads = canary.reads
    canary.now += 60
    assert canary.passes() is None
    assert canary.reads == reads


def restarted(canary: Canary, store: EvidenceStore) -> None:
    """Another Deployer goes on, whose servers have forgotten all but their last windows."""
    canary.judging.close()
    canary.judging = Judging(canary.reported.append, lambda: canary.now, store)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    database = Database(tmp_path / "deployer.db")
    yield EvidenceStore(database)
    database.close()


def test_evidence_outlives_the_deployer_and_the_windows_of_the_servers(
    canary: Canary, store: EvidenceStore
) -> None:
    restarted(canary, store)
    canary.passes()
    canary.serves(3, 20)
    canary.record = at_step(canary.record, 1, canary.now)
    before = canary.serves(50, 20, champions=1)
    restarted(canary, store)
    assert before
    after = canary.passes()
    assert after == before
    assert canary.serves(1, 20, champions=1) != before
    assert [(step, body["version"]) for _, step, body in store.verdicts("angler-prod")] == [
        (1, "2"), (0, "2"),
    ]  # fmt: skip


def test_another_attempt_of_the_same_version_inherits_nothing(
    canary: Canary, store: EvidenceStore
) -> None:
    restarted(canary, store)
    canary.passes()
    found = canary.serves(4, 20, errors=10)
    assert found
    assert found.outcome is Outcome.FAIL
    assert canary.record.candidate
    again = replace(canary.record.candidate, since=canary.now, step_since=canary.now)
    canary.record = replace(canary.record, candidate=again)
    found = canary.serves(4, 20)
    assert found
    assert found.outcome is Outcome.PASS


def test_a_step_that_begins_anew_or_has_another_champion_inherits_nothing_from_before(
    canary: Canary, store: EvidenceStore
) -> None:
    restarted(canary, store)
    canary.passes()
    canary.serves(4, 20)
    began = canary.record
    canary.record = at_step(canary.record, 0, canary.now)  # after a reboot
    restarted(canary, store)
    found = canary.passes()
    assert found
    assert found.requests == 0
    assert found.since >= canary.now
    another = replace(predictor(1), digest="digest-0")
    canary.record = began.with_champion(another, 0.0)
    canary.now += 400  # the servers have forgotten it by now
    restarted(canary, store)
    found = canary.passes()
    assert found
    assert found.requests == 0
    assert found.baseline == "digest-0"


def test_a_bake_outlives_the_deployer_with_what_the_old_version_counted(
    canary: Canary, store: EvidenceStore
) -> None:
    restarted(canary, store)
    bakes(canary)
    canary.passes()
    before = alone(canary, 40, 10)
    restarted(canary, store)
    assert canary.passes() == before
    assert before.message.endswith("before it 1.11 % of 900")
    found = alone(canary, 1, 60, errors=60)
    assert found.outcome is Outcome.FAIL


def test_a_database_that_does_not_answer_costs_no_verdict(canary: Canary) -> None:
    class Away:
        def append(self, *_: object) -> None:
            raise DatabaseUnavailable("The database does not answer.")

        note = append

        def windows(self, _: object) -> list[Any]:
            raise DatabaseUnavailable("The database does not answer.")

    canary.judging.close()
    canary.judging = Judging(canary.reported.append, lambda: canary.now, Away())
    canary.passes()
    found = canary.serves(3, 20)
    assert found
    assert found.outcome is Outcome.PASS


@pytest.mark.parametrize("jump", [-7200.0, -15.0, 15.0, 8 * 3600.0])
def test_a_clock_that_jumps_makes_no_evidence_and_hides_no_harm(
    canary: Canary, jump: float
) -> None:
    """The clock is set, or the machine slept: the servers are on it, too."""
    canary.passes()
    before = canary.serves(3, 20)
    assert before
    assert before.outcome is Outcome.PASS
    canary.now += jump
    found = canary.passes()
    assert found
    assert found.requests <= before.requests + 20
    if jump < -60:
        assert found.outcome is Outcome.NO_DATA, "what was shown is of a time that is to come"
    after = canary.serves(6, 20, errors=20)
    assert after
    assert after.outcome is Outcome.FAIL
