"""When Prometheus is asked, what becomes of its answers, and of none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.judging import BEGIN, Canary, predictor
from support.run.wait import wait_for

from deployer.analysis.asking import LATE_SECONDS, NOBODY, Ask
from deployer.analysis.judging import Judging
from deployer.analysis.prometheus import Unanswered
from deployer.analysis.replay import replay, with_criteria
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Outcome, Verdict
from deployer.state.record import Candidate
from deployer.store.evidence import EvidenceStore
from deployer.store.sqlite import Database

SPEC = ServingSpec.model_validate(
    {
        "rollout": {"steps": [{"weight": 10, "require": "no_harm"}, 100]},
        "analysis": {
            "warmup": "10s",
            "min_requests": 20,
            "metrics": {
                "basket": {
                    "query": 'lost{predictor="{predictor}"}[{window}]',
                    "count": 'all{predictor="{predictor}"}[{window}]',
                    "every": "30s",
                    "worse_by": "2pp",
                }
            },
        },
    }
)


class Asked(Canary):
    """A canary whose team asks Prometheus, which says what the test wants."""

    def __init__(self, store: EvidenceStore) -> None:
        super().__init__()
        self.store = store
        self.questions: list[tuple[str, float]] = []
        self.says: dict[str, float | str] = {
            "lost v1": 0.01,
            "lost v2": 0.01,
            "all v1": 900,
            "all v2": 100,
        }
        self.record = replace(self.record, candidate=Candidate(predictor(2, SPEC), BEGIN, 0, BEGIN))
        self.restart(self.answer)

    def restart(self, ask: Ask | None) -> None:
        self.judging.close()
        self.judging = Judging(self.reported.append, lambda: self.now, self.store, ask)

    def answer(self, query: str, at: float) -> float:
        self.questions.append((query, at))
        name = query.partition("{")[0] + (" v1" if '"v1"' in query else " v2")
        found = self.says[name]
        if isinstance(found, str):
            raise Unanswered(found)
        return found

    def passes(self) -> Verdict | None:
        super().passes()
        case = self.judging._cases.get(self.record.id)
        wait_for(lambda: case is None or not case.asking, "the answers")
        return self.judging.verdict(self.record, None)

    def goes_on(self, windows: int) -> Verdict:
        found = self.serves(windows, 20)
        assert found
        return found


@pytest.fixture
def asked(tmp_path: Any) -> Iterator[Asked]:
    database = Database(tmp_path / "deployer.db")
    made = Asked(EvidenceStore(database))
    yield made
    made.judging.close()
    database.close()


def test_each_stretch_is_asked_about_once_for_both_after_the_warm_up(asked: Asked) -> None:
    asked.passes()
    found = asked.goes_on(12)  # two minutes
    stretches = sorted({at for _, at in asked.questions})
    assert stretches == [at for at in stretches if at % 30 == 0]
    assert stretches[0] - 30 >= BEGIN + 10
    assert stretches[-1] <= asked.now - LATE_SECONDS
    assert len(asked.questions) == 4 * len(stretches)
    assert len({query for query, _ in asked.questions}) == 4
    assert asked.questions[0][0] == 'all{predictor="v2"}[30s]'
    [basket] = [one for one in found.metrics if one.metric == "basket"]
    assert found.outcome is Outcome.PASS
    assert basket.message.startswith("basket 1 % of")


def test_a_rollout_waits_for_an_answer_and_says_why_there_is_none(asked: Asked) -> None:
    asked.says["all v1"] = "Prometheus gives no series, and should give one"
    asked.passes()
    found = asked.goes_on(12)
    assert found.outcome is Outcome.NO_DATA
    assert found.message == "basket: Prometheus gives no series, and should give one"
    asked.says["all v1"] = 900
    assert asked.goes_on(6).outcome is Outcome.PASS


def test_harm_in_the_answers_ends_it(asked: Asked) -> None:
    asked.says |= {"lost v2": 0.4}
    asked.passes()
    found = asked.goes_on(12)
    assert found.outcome is Outcome.FAIL
    assert found.message.startswith("basket 40 % of")


def test_a_query_that_gives_no_share_is_no_answer(asked: Asked) -> None:
    asked.says |= {"lost v2": 7.0}
    asked.passes()
    assert asked.goes_on(12).message == "basket: the query of v2 gives 7, and should give a share"
    asked.says |= {"lost v2": 1.01}  # of two counts, each of which Prometheus extrapolates
    assert asked.goes_on(6).outcome is Outcome.FAIL


def test_without_a_prometheus_the_setting_is_named(asked: Asked) -> None:
    asked.restart(None)
    asked.passes()
    assert asked.goes_on(12).message == f"basket: {NOBODY}"


def test_a_restart_counts_no_answer_twice_and_a_replay_says_the_same(asked: Asked) -> None:
    asked.says |= {"lost v1": 0.05, "lost v2": 0.05}
    asked.passes()
    before = asked.goes_on(12)
    asked.restart(asked.answer)
    about = {at for _, at in asked.questions}
    asked.questions.clear()
    after = asked.goes_on(1)
    assert not {at for _, at in asked.questions} & about
    counted = [next(m for m in v.metrics if m.metric == "basket").message for v in (before, after)]
    assert counted[0] == counted[1]
    trial = asked.judging._cases[asked.record.id].trial(asked.record.id)
    kept = list(asked.store.windows(trial))
    assert [said.outcome for said in replay(SPEC, kept)] == [after.outcome]
    strict = with_criteria(SPEC.model_dump(mode="json"), ["basket.max=0.01"])
    assert replay(strict, kept)[-1].outcome is Outcome.FAIL


def test_what_is_answered_after_the_next_step_began_is_forgotten(asked: Asked) -> None:
    asked.passes()
    asked.goes_on(12)
    assert asked.record.candidate
    later = replace(asked.record.candidate, step_since=asked.now)
    asked.record = replace(asked.record, candidate=later)
    asked.passes()
    asked.questions.clear()
    asked.goes_on(3)
    assert not asked.questions, "no stretch of this step is over"
