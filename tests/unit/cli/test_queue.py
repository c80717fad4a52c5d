"""Queues of deployments, as people see them and act on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

ONE = "/api/v1/deployments/angler-prod/queue"


def queue(**fields: Any) -> dict[str, Any]:
    version = {
        "version": "2", "predictor": "angler-prod-v2", "role": "champion", "share": 0.9,
        "replicas": 2, "consuming": 2, "in_flight": 4, "answered_per_second": 12.0,
    }  # fmt: skip
    return {
        "deployment": "angler-prod", "model": "angler", "environment": "prod", "broker": "default",
        "source": "angler.prod", "dead_letter": "angler.prod.dead", "ready": 1_200, "consumers": 2,
        "in_flight": 4, "dead": 3, "answered_per_second": 12.0, "lag_seconds": 100.0,
        "versions": [version], "trouble": None, "elsewhere": ["e/k"], "replicas": [], "history": [],
        "results": [{"name": "angler.prod.results", "ready": 7, "consumers": 1, "message": ""}],
        **fields,
    }  # fmt: skip


def letter(name: str, reason: str, **fields: Any) -> dict[str, Any]:
    headers = {"x-schnitzel-version": "2", "x-schnitzel-dead-at": "1700000000"}
    return {
        "id": name, "content_type": "application/json", "body": '{"inputs":\n [1]}', "size": 14,
        "redelivered": False, "reason": reason, "message": "no column a", "headers": headers,
        **fields,
    }  # fmt: skip


def peeked(*messages: dict[str, Any], ready: int | None = None) -> dict[str, Any]:
    there = len(messages) if ready is None else ready
    return {"queue": "angler.prod.dead", "ready": there, "messages": list(messages)}


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_list_shows_what_waits_and_how_long_it_takes(schnitzel, deployer) -> None:
    deployer.answer("GET", "/api/v1/queues", {"queues": [queue()]})
    shown = schnitzel("queue", "list")
    assert lines(shown.out)[1] == "angler@prod angler.prod 1,200 4 12.0 2 min 3 v2 90 %"
    assert schnitzel("queue", "list", "-e", "staging").out == "no deployment answers a queue\n"
    assert schnitzel("queue", "list", "-o", "json").json["queues"][0]["ready"] == 1_200


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"ready": None, "lag_seconds": None}, "?"),
        ({"ready": 0, "lag_seconds": 0.0}, "empty"),
        ({"answered_per_second": 0.0, "lag_seconds": None}, "never"),
        ({"answered_per_second": None, "lag_seconds": None}, "?"),
    ],
)
def test_a_lag_is_said_as_far_as_it_is_known(schnitzel, deployer, known, said) -> None:
    deployer.answer("GET", ONE, queue(**known))
    assert f"empty in {said}" in lines(schnitzel("queue", "show", "angler").out)


def test_a_queue_is_shown_with_its_versions_results_and_trouble(schnitzel, deployer) -> None:
    step = "schnitzel queue create angler -e prod"
    trouble = {"reason": "QueueMissing", "message": "No such queue.", "next_step": step}
    deployer.answer("GET", ONE, queue(trouble=trouble))
    deployer.answer("POST", f"{ONE}/peek", peeked(letter("1", "BadInput"), ready=3))
    shown = schnitzel("queue", "show", "angler")
    found = lines(shown.out)
    assert "trouble QueueMissing" in found
    assert f"next step {step}" in found
    assert "2 champion 90 % 2 2 4 12.0" in found
    assert "angler.prod.results 7 1" in found
    assert "e/k - - no single queue" in found
    assert "dead letters 3 in angler.prod.dead" in found
    assert "why they are dead: schnitzel queue dead angler@prod" in shown.err
    assert not deployer.requests("POST"), "a look at messages is asked for"
    again = schnitzel("queue", "show", "angler", "--reasons")
    assert "dead letters 3 (1 BadInput, of the first 1) in angler.prod.dead" in lines(again.out)


def test_a_file_is_sent_as_a_question_and_the_ids_are_printed(schnitzel, deployer, home) -> None:
    deployer.answer("POST", f"{ONE}/send", {"queue": "angler.prod", "message_ids": ["m-1"]})
    (home / "rows.json").write_text('[{"a": 1}]')
    (home / "rows.csv").write_text("a\n1\n")
    sent = schnitzel("queue", "send", "angler@prod", "-f", home / "rows.json", "--id", "mine")
    assert (sent.out, sent.code) == ("m-1\n", 0)
    assert "angler@prod: sent to angler.prod: 1" in sent.err
    schnitzel("queue", "send", "angler@prod", "-f", home / "rows.csv")
    schnitzel(
        "queue", "send", "angler@prod", "-f", home / "rows.csv", "--content-type", "text/plain"
    )
    first, second, third = (asked["body"]["messages"][0] for asked in deployer.requests("POST"))
    assert first["message_id"] == "mine"
    assert json.loads(first["body"]) == {"dataframe_records": [{"a": 1}]}
    assert (second["content_type"], second["body"]) == ("text/csv", "a\n1\n")
    assert third["content_type"] == "text/plain"


def test_the_example_is_sent_as_often_as_is_asked(schnitzel, deployer, monkeypatch) -> None:
    example = b'{"inputs": [1]}'
    monkeypatch.setattr("cli.clients.mlflow.Registry.example", lambda *_: example)
    deployer.answer("POST", f"{ONE}/send", {"queue": "angler.prod", "message_ids": ["m"]})
    sent = schnitzel("queue", "send", "angler", "--example", "--count", "1500", "-o", "json")
    assert sent.code == 0, sent.err
    assert sent.json == {"queue": "angler.prod", "message_ids": ["m", "m"]}
    bodies = [asked["body"] for asked in deployer.requests("POST")]
    assert [body["count"] for body in bodies] == [1_000, 500]
    assert bodies[0]["messages"][0]["body"] == '{"inputs": [1]}'


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("send", "angler"), "--input FILE"),
        (("send", "angler", "--example", "--count", "2", "--id", "x"), "leave out --id"),
        (("send", "angler", "--example", "--content-type", "text/csv"), "add --input FILE"),
        (("replay", "angler"), "--reason REASON or --all"),
        (("replay", "angler", "m-1", "--all"), "--reason REASON or --all"),
        (("replay", "angler", "--all"), "--yes"),
    ],
)
def test_a_command_that_means_nothing_is_refused_and_nothing_is_changed(
    schnitzel, deployer, words, hint
) -> None:
    refused = schnitzel("queue", *words)
    assert refused.code == 2
    assert hint in refused.err
    assert not deployer.requests("POST")


def test_messages_that_wait_are_shown_on_one_line_each(schnitzel, deployer) -> None:
    deployer.answer("POST", f"{ONE}/peek", peeked(letter("", "", body="x" * 90, size=90)))
    shown = schnitzel("queue", "peek", "angler", "--queue", "angler.prod.results", "--limit", "3")
    assert lines(shown.out)[-1] == f"- application/json 90 B no {'x' * 59}…"
    [asked] = deployer.requests("POST")
    assert asked["body"] == {"queue": "angler.prod.results", "limit": 3}
    assert asked["headers"]["Authorization"] == "Bearer s3cret"


def test_dead_letters_are_shown_with_their_reasons(schnitzel, deployer) -> None:
    letters = [letter("1", "BadInput"), letter("2", "BadInput"), letter("3", "TimedOut")]
    deployer.answer("POST", f"{ONE}/peek", peeked(*letters))
    shown = schnitzel("queue", "dead", "angler")
    found = lines(shown.out)
    assert found[:2] == ["angler.prod.dead: 3 of 3 messages", "2 BadInput, 1 TimedOut"]
    assert found[-1].startswith("3 TimedOut 2 ")
    assert found[-1].endswith("no column a")
    assert "schnitzel queue replay angler@prod --all" in shown.err
    deployer.answer("POST", f"{ONE}/peek", peeked())
    assert schnitzel("queue", "dead", "angler").out == "angler.prod.dead: empty\n"


def test_dead_letters_are_replayed_after_a_yes(schnitzel, deployer) -> None:
    deployer.answer("POST", f"{ONE}/replay", {"replayed": 2, "kept": 1, "left": 4})
    done = schnitzel("queue", "replay", "angler", "m-1", "--reason", "TimedOut", "--yes")
    assert "angler@prod: 2 sent again, 1 stay, 4 not looked at" in done.err
    assert "run this again" in done.err
    [asked] = deployer.requests("POST")
    assert asked["body"] == {"ids": ["m-1"], "reasons": ["TimedOut"], "all": False, "limit": 1_000}


def test_what_was_made_is_printed_and_what_was_there_is_said(schnitzel, deployer) -> None:
    outcomes = {
        "angler.prod": "made",
        "angler.prod.dead": "there",
        "angler.prod.results": "differs",
    }
    made = [{"name": name, "outcome": outcome} for name, outcome in outcomes.items()]
    answer = {"broker": "default", "queues": made, "elsewhere": ["e/k"]}
    deployer.answer("POST", f"{ONE}/create", answer)
    shown = schnitzel("queue", "create", "angler", "--kind", "classic")
    assert lines(shown.out)[2:] == [
        "angler.prod made",
        "angler.prod.dead was there",
        "angler.prod.results was there, with other arguments: left as it is",
        "e/k no single queue: make it yourself",
    ]
    assert deployer.requests("POST")[0]["body"] == {"kind": "classic"}


def test_a_trouble_of_the_broker_comes_with_its_next_step(schnitzel, deployer) -> None:
    answer = {"error": "The broker 'default' does not answer.", "hint": "Start it."}
    deployer.answer("POST", f"{ONE}/create", answer, 503)
    refused = schnitzel("queue", "create", "angler")
    assert refused.code == 1
    assert "The broker 'default' does not answer." in refused.err
    assert "hint: Start it." in refused.err
