"""The conditions of a deployment, which the API and kubectl show alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.kubernetes.drawn_records import told

from deployer.state.reasons import State, Sync
from deployer.status.conditions import conditions


def shown(*args: object, **fields: object) -> dict[str, tuple[str, str, str]]:
    status = replace(told(*args), **fields)  # type: ignore[arg-type]
    return {one.kind: (one.value, one.reason, one.message) for one in conditions(status)}


def test_one_that_serves_is_ready_and_nothing_else_is_true_but_that_it_is_in_sync():
    assert shown() == {
        "Ready": ("True", "Answering", "Version 1 answers."),
        "Progressing": ("False", "Settled", ""),
        "Degraded": ("False", "AsExpected", ""),
        "InSync": ("True", "InSync", ""),
    }


@pytest.mark.parametrize("state", [State.DEGRADED, State.FAILED])
def test_one_that_failed_says_why_in_what_it_is_and_in_what_it_is_not(state):
    found = shown(state, "CrashLoop", 0)
    assert found["Ready"] == ("False", "CrashLoop", "A sentence.")
    assert found["Degraded"] == ("True", "CrashLoop", "A sentence.")
    assert found["Progressing"][0] == "False"


def test_one_on_its_way_may_answer_meanwhile():
    found = shown(State.PROGRESSING, "Starting", sync=Sync.OUT_OF_SYNC)
    assert found["Progressing"] == ("True", "Starting", "A sentence.")
    assert found["Ready"][0] == "True"
    assert found["InSync"] == ("False", "OutOfSync", "")
