"""What goes to a queue, what is read from one, and which dead letters are meant."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp.commands import Basic

from deployer.brokers.contract import SHOWN_BYTES, Chosen, Message, revived, waiting
from deployer.brokers.names import names_of
from deployer.brokers.queues import NewQueue
from deployer.spec.queue import Queue

DEATH = [{"reason": "delivery_limit", "queue": "in", "count": 1}]


def letter(name: str | None = None, **headers: Any) -> Basic.Properties:
    written = {key.replace("_", "-"): value for key, value in headers.items()}
    return Basic.Properties(message_id=name, headers=written)


def test_a_message_without_an_id_gets_one_of_its_own():
    first, second = (Message(b"{}").properties() for _ in range(2))
    assert first.message_id
    assert first.message_id != second.message_id
    assert Message(b"{}", message_id="mine").properties().message_id == "mine"
    assert first.delivery_mode == 2


def test_a_body_is_shown_cut_and_as_text():
    found = waiting(b"\xff" + b"x" * 5_000, Basic.Properties(), redelivered=True)
    assert (found.size, len(found.body)) == (5_001, SHOWN_BYTES)
    assert (found.id, found.reason, found.headers) == ("", "", {})
    assert found.body.startswith("\ufffdxx")


def test_the_id_of_a_message_is_its_own_else_that_of_its_correlation():
    assert waiting(b"", Basic.Properties(correlation_id="c"), redelivered=False).id == "c"
    both = Basic.Properties(message_id="m", correlation_id="c")
    assert waiting(b"", both, redelivered=False).id == "m"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x_schnitzel_reason": "BadInput", "x_death": DEATH}, "BadInput"),
        ({"x_death": DEATH}, "delivery_limit"),
        ({"x_death": "odd"}, ""),
        ({}, ""),
    ],
)
def test_the_reason_is_the_server_s_else_the_broker_s(headers, reason):
    assert waiting(b"", letter(**headers), redelivered=False).reason == reason


@pytest.mark.parametrize(
    ("chosen", "has"),
    [
        (Chosen(), True),
        (Chosen(ids=["m"]), True),
        (Chosen(ids=["n"]), False),
        (Chosen(reasons=["BadInput"]), True),
        (Chosen(ids=["n"], reasons=["BadInput"]), True),
        (Chosen(reasons=["TimedOut"]), False),
        (Chosen(source="in"), True),
        (Chosen(ids=["m"], source="other"), False),
    ],
)
def test_dead_letters_are_chosen_by_id_reason_and_source(chosen, has):
    assert chosen.has(letter("m", x_schnitzel_reason="BadInput", x_schnitzel_source="in")) is has


def test_a_dead_letter_of_the_broker_belongs_to_its_queue_and_one_of_nobody_to_all():
    assert Chosen(source="in").has(letter("m", x_death=DEATH))
    assert not Chosen(source="other").has(letter("m", x_death=DEATH))
    assert Chosen(source="other").has(letter("m"))


def test_a_letter_that_is_sent_again_keeps_what_is_its_sender_s():
    dead = letter(
        "m", x_schnitzel_reason="BadInput", x_death=DEATH, x_first_death_queue="in",
        x_delivery_count=3, traceparent="00-1", tenant="t",
    )  # fmt: skip
    dead.content_type, dead.reply_to, dead.priority = "text/csv", "amq.gen-1", 3
    found = revived(dead)
    assert found.headers == {"traceparent": "00-1", "tenant": "t"}
    assert (found.message_id, found.content_type, found.reply_to) == ("m", "text/csv", "amq.gen-1")
    assert (found.priority, found.delivery_mode, found.expiration) == (3, 2, None)


def test_queues_are_known_by_name_as_far_as_no_prediction_or_exchange_decides():
    results = ["out", {"routing_key": "by.{prediction}", "other": "rest"}]
    results.append({"exchange": "e", "routing_key": "k"})
    section = Queue.model_validate({"source": "in", "dead_letter": "dead", "results": results})
    names = names_of(section.named("angler", "prod"))
    assert names.all == ("in", "out", "rest", "dead")
    assert names.elsewhere == ("by.{prediction}", "e/k")
    assert names.new[0] == NewQueue("in", "dead")
    assert names.new[1:] == [NewQueue("out"), NewQueue("rest"), NewQueue("dead")]
