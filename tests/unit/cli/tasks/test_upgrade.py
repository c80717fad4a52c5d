"""`platform upgrade`: the plan as a table, a halt, and the wait for the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli import errors

SCHEMA = json.loads((Path(__file__).parents[3] / "contract" / "openapi.json").read_text())

IMAGE = "registry.example/ml/model-server@sha256:"
OLD, NEW = f"0.1.0 {IMAGE}{'a1' * 32}", f"0.2.0 {IMAGE}{'b2' * 32}"
PATH = "/api/v1/upgrade"


def move(model: str, environment: str, state: str, batch: int | None, **fields: Any) -> Any:
    return {
        "deployment": f"{model}-{environment}",
        "model": model,
        "environment": environment,
        "from": OLD,
        "to": NEW,
        "state": state,
        "batch": batch,
        "why": "",
        "next_step": "",
        **fields,
    }


def upgrade(*moves: Any, **fields: Any) -> Any:
    return {
        "state": "Progressing",
        "message": "1 of 4 deployments are on their version.",
        "next_step": "schnitzel platform upgrade --wait",
        "halted": None,
        "environments": [
            {"environment": "dev", "version": NEW},
            {"environment": "prod", "version": NEW},
        ],
        "batches": 3,
        "done": 1,
        "deployments": list(moves),
        **fields,
    }


UNDER_WAY = upgrade(
    move("angler", "dev", "moving", 1),
    move("angler", "prod", "waiting", 2),
    move("calm", "prod", "paused", None, why="paused by bob: a measurement"),
)
DONE = upgrade(state="Done", message="4 of 4 deployments are on their version.", next_step="x")
FAILED = upgrade(
    move("angler", "dev", "failed", 1, why="ImageMissing: it is not there."),
    move("angler", "prod", "waiting", 2),
    state="Failed",
    message="1 could not be served on it.",
    next_step="schnitzel deploy apply angler -e dev --retry",
)
HALTED = upgrade(
    move("angler", "prod", "waiting", 2),
    state="Halted",
    message="Halted by ada: now no other begins.",
    next_step="schnitzel platform upgrade --resume",
    halted={"by": "ada", "at": "2026-01-02T03:04:05.000+00:00"},
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.tasks.upgrade.POLL_SECONDS", 0.01)


def test_the_plan_is_a_table_that_ends_with_the_next_step(schnitzel, deployer) -> None:
    deployer.answer("GET", PATH, UNDER_WAY)
    done = schnitzel("platform", "upgrade", "--plan")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["ENVIRONMENT", "DEPLOYMENT", "FROM", "TO", "STATE", "BATCH"]
    old, new = ["0.1.0", "model-server@sha256:a1a1a1a1"], ["0.2.0", "model-server@sha256:b2b2b2b2"]
    assert lines[1] == ["dev", "angler@dev", *old, *new, "moving", "1", "of", "3"]
    assert lines[2] == ["prod", "angler@prod", *old, *new, "waiting", "2", "of", "3"]
    assert lines[3] == ["prod", "calm@prod", *old, *new, "paused", "-"]
    assert "calm@prod: paused by bob: a measurement" in done.out
    assert lines[-1] == ["next", "schnitzel", "platform", "upgrade", "--wait"]
    assert schnitzel("platform", "upgrade").out == done.out
    assert not deployer.requests("POST")


def test_versions_that_differ_in_the_registry_alone_are_told_apart(schnitzel, deployer) -> None:
    elsewhere = OLD.replace("registry.example", "mirror.example")
    deployer.answer("GET", PATH, upgrade(move("angler", "dev", "now", 1, to=elsewhere)))
    out = schnitzel("platform", "upgrade").out
    assert "registry.example/ml/model-server@sha256:a1a1a1a1" in out
    assert "mirror.example/ml/model-server@sha256:a1a1a1a1" in out


def test_as_json_it_is_the_deployers_own_answer(schnitzel, deployer) -> None:
    deployer.answer("GET", PATH, UNDER_WAY)
    assert schnitzel("platform", "upgrade", "-o", "json").json == UNDER_WAY


def test_with_nothing_to_move_the_version_of_each_environment_is_shown(schnitzel, deployer) -> None:
    deployer.answer("GET", PATH, DONE)
    out = schnitzel("platform", "upgrade", "--plan").out
    assert f"prod         {NEW}" in out
    assert "4 of 4 deployments" in out


def test_without_a_cluster_it_says_so(schnitzel, deployer) -> None:
    here = [{"environment": "prod", "version": ""}]
    deployer.answer("GET", PATH, upgrade(environments=here, state="Done"))
    assert "No environment is on a cluster" in schnitzel("platform", "upgrade").out


def test_a_halt_and_its_end_are_asked_for_with_the_token(schnitzel, deployer) -> None:
    deployer.answer("POST", PATH, HALTED)
    done = schnitzel("platform", "upgrade", "--halt")
    assert done.code == 0
    assert "upgrades are halted" in done.err
    assert done.out.splitlines()[-1].endswith("schnitzel platform upgrade --resume")
    deployer.answer("POST", PATH, UNDER_WAY)
    assert "upgrades go on" in schnitzel("platform", "upgrade", "--resume").err
    asked = deployer.requests("POST")
    assert [each["body"] for each in asked] == [{"halt": True}, {"halt": False}]
    assert {each["headers"]["Authorization"] for each in asked} == {"Bearer s3cret"}


def test_a_halt_and_its_end_at_once_make_no_sense(schnitzel, deployer) -> None:
    done = schnitzel("platform", "upgrade", "--halt", "--resume")
    assert done.code == errors.USAGE
    assert not deployer.asked


def test_waiting_ends_when_nothing_is_left_but_what_is_left_behind(
    schnitzel, deployer, steps
) -> None:
    behind = upgrade(move("calm", "prod", "paused", None), state="Done", message="3 of 4.")
    deployer.answer("GET", PATH, steps(UNDER_WAY, UNDER_WAY, behind))
    done = schnitzel("platform", "upgrade", "--wait")
    assert done.code == 0
    assert done.err.splitlines() == [
        "Progressing  1 of 4 deployments are on their version.",
        "Done  3 of 4.",
    ]


def test_waiting_ends_with_the_failure_and_its_next_step(schnitzel, deployer, steps) -> None:
    deployer.answer("GET", PATH, steps(UNDER_WAY, UNDER_WAY, FAILED))
    done = schnitzel("platform", "upgrade", "--wait")
    assert done.code == errors.FAILED
    assert "error: 1 could not be served on it." in done.err
    assert "hint: schnitzel deploy apply angler -e dev --retry" in done.err


def test_the_plan_tells_of_a_failure_without_failing_itself(schnitzel, deployer) -> None:
    deployer.answer("GET", PATH, FAILED)
    done = schnitzel("platform", "upgrade", "--plan")
    assert done.code == 0
    assert "angler@dev: ImageMissing: it is not there." in done.out


def test_who_halts_waits_only_for_what_is_under_way(schnitzel, deployer, steps) -> None:
    finishing = {**HALTED, "deployments": [move("angler", "dev", "moving", 1)]}
    deployer.answer("POST", PATH, finishing)
    deployer.answer("GET", PATH, steps(finishing, HALTED))
    assert schnitzel("platform", "upgrade", "--halt", "--wait").code == 0
    done = schnitzel("platform", "upgrade", "--wait")
    assert done.code == errors.FAILED
    assert "hint: schnitzel platform upgrade --resume" in done.err


def test_a_wait_that_takes_too_long_says_where_it_stands(schnitzel, deployer) -> None:
    deployer.answer("GET", PATH, UNDER_WAY)
    done = schnitzel("platform", "upgrade", "--wait", "--timeout", "0")
    assert done.code == errors.TIMED_OUT
    assert "1 of 4 deployments" in done.err


@pytest.mark.parametrize("answer", [UNDER_WAY, DONE, FAILED, HALTED])
def test_what_is_read_here_is_what_the_deployer_promises(answer) -> None:
    shape = {"$ref": "#/components/schemas/Upgrade", "components": SCHEMA["components"]}
    Draft202012Validator(shape).validate(answer)
    promised = SCHEMA["components"]["schemas"]["Move"]["properties"]
    assert set(move("angler", "prod", "now", 1)) == set(promised)
    for method, code in (("get", "200"), ("post", "200")):
        told = SCHEMA["paths"][PATH][method]["responses"][code]["content"]["application/json"]
        assert told["schema"] == {"$ref": "#/components/schemas/Upgrade"}
