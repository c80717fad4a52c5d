"""What a message asks, and what a result and a dead letter say."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, strategies as st

from serving.inference import INFER, INVOCATIONS
from serving.predictor import Destination, Predictor
from serving.protocols.answer import Answer
from serving.queue import contract
from serving.queue.amqp import wire


def predictor() -> Predictor:
    return Predictor("iris-prod-v3-0", "iris", "3", "prod", "/m", "python", "127.0.0.1", 1, "/s")


def asked(
    headers: dict[str, Any] | None = None, *, redelivered: bool = False, **properties: str
) -> contract.Input:
    own = wire.Properties(**properties, headers=wire.entries(headers or {}))
    return contract.received(wire.Delivery(1, redelivered, wire.encoded(own), b"{}"))


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("kind", "protocol", "sent"),
    [
        ("", INVOCATIONS, b"application/json"),
        ("application/json; charset=utf-8", INVOCATIONS, b"application/json; charset=utf-8"),
        ("text/csv", INVOCATIONS, b"text/csv"),
        ("application/vnd.oip+json", INFER, b"application/json"),
        (" Application/VND.oip+json ; v=2", INFER, b"application/json"),
    ],
)
def test_the_content_type_names_the_protocol(kind, protocol, sent):
    question = asked(content_type=kind).question
    assert (question.protocol, question.content_type) == (protocol, sent)


def test_an_input_is_known_by_its_message_id_else_by_its_correlation_id_else_by_none():
    assert asked(message_id="m", correlation_id="c").name == "m"
    assert asked(correlation_id="c").name == "c"
    assert asked().name != asked().name


def test_a_redelivered_message_is_asked_alone():
    assert asked(redelivered=True).question.alone
    assert not asked().question.alone


def test_the_id_of_a_result_never_changes():
    """Consumers drop doubles by it, also those of an older server."""
    assert contract.result_id("texts", "m1", 0) == "c3069feb-375a-50b9-8cb3-9732e9c8df19"
    ids = {
        contract.result_id(*of)
        for of in (("a", "b", 0), ("a", "b", 1), ("a", "c", 0), ("d", "b", 0))
    }
    assert len(ids) == 4


@given(st.text(), st.text(), st.integers(-1, 9))
def test_the_id_of_a_result_is_a_uuid_of_version_5(source, name, index):
    namespace = uuid.UUID("6a0c5a5f-2b1e-5d0c-9c39-0f7c1d7f4d2b")
    expected = uuid.uuid5(namespace, f"{source}\0{name}\0{index}")
    assert contract.result_id(source, name, index) == str(expected)


def test_headers_of_the_broker_and_of_the_platform_are_not_passed_on():
    own = asked({"own": 1, "X-Delivery-Count": 7, "x-schnitzel-version": "9"}, redelivered=True)
    assert wire.Properties(headers=own.own_headers).table == {"own": 1}
    assert asked({"x-delivery-count": 7}).delivery_count == 7
    assert asked({"x-delivery-count": "many"}).delivery_count == 0


def test_a_message_with_properties_of_nobody_has_a_name_and_says_so():
    received = contract.received(wire.Delivery(1, False, b"\xff\xff\x09", b"{}"))
    assert received.name
    assert "too early" in received.unreadable


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("out", {"predictions": ["en"]}, "out"),
        ("out.{prediction}", {"predictions": ["en", "da"]}, "out.en"),
        ("out.{prediction}", {"predictions": [7]}, "out.7"),
        ("out.{prediction}", {"predictions": [True]}, "out.true"),
        ("out.{prediction}", {"predictions": "en"}, "out.en"),
        ("out.{prediction.language}", {"predictions": [{"language": "da", "p": 1}]}, "out.da"),
        ("out.{prediction}", {"outputs": [{"name": "a", "data": ["x", "y"]}]}, "out.x"),
        ("out.{prediction.b}", {"outputs": [{"name": "a", "data": ["x"]},
                                            {"name": "b", "data": ["z"]}]}, "out.z"),
        # -- what fits into no routing key
        ("out.{prediction}", {"predictions": []}, "rest"),
        ("out.{prediction}", {"predictions": [None]}, "rest"),
        ("out.{prediction}", {"predictions": [0.5]}, "rest"),
        ("out.{prediction}", {"predictions": [{"language": "da"}]}, "rest"),
        ("out.{prediction.no}", {"predictions": [{"language": "da"}]}, "rest"),
        ("out.{prediction.no}", {"outputs": [{"name": "a", "data": ["x"]}]}, "rest"),
        ("out.{prediction}", {"outputs": []}, "rest"),
        ("out.{prediction}", {"predictions": ["#"]}, "rest"),
        ("out.{prediction}", {"predictions": ["a b"]}, "rest"),
        ("out.{prediction}", {"predictions": [".en"]}, "rest"),
        ("out.{prediction}", {"predictions": ["x" * 101]}, "rest"),
        ("out.{prediction}", {"predictions": [""]}, "rest"),
        ("out.{prediction}", ["en"], "rest"),
        (f"{'k' * 240}.{{prediction}}", {"predictions": ["x" * 50]}, "rest"),
    ],
)  # fmt: skip
def test_a_prediction_fills_a_routing_key_or_goes_elsewhere(key, body, expected):
    assert contract.routing_key(Destination("", key, "rest"), answer(body)) == expected


@pytest.mark.parametrize(
    ("reply_to", "queue"),
    [
        ("amq.rabbitmq.reply-to.g1h2", "amq.rabbitmq.reply-to.g1h2"),
        ("amq.gen-JzTY20BRgKO", "amq.gen-JzTY20BRgKO"),
        ("somebody-elses", ""),
        ("amq.rabbitmq.trace", ""),
        ("", ""),
    ],
)
def test_a_reply_goes_to_no_queue_that_has_a_name(reply_to, queue):
    assert contract.reply_queue(asked(reply_to=reply_to)) == queue


def test_a_result_carries_who_answered_and_the_senders_own_headers():
    sent = {"traceparent": "00-1", "own": 1, "x-death": [], "X-Schnitzel-Version": "9"}
    message = contract.Writer(predictor(), "texts").result(
        Destination("exchange", "key"), 0, answer({"predictions": [1]}),
        asked(message_id="m1", headers=sent), "p1",
    )  # fmt: skip
    assert (message.exchange, message.routing_key) == ("exchange", "key")
    assert message.properties.delivery_mode == contract.PERSISTENT
    assert message.properties.correlation_id == "m1"
    assert message.properties.message_type == "prediction"
    assert message.properties.table == {
        "traceparent": "00-1", "own": 1,
        "x-schnitzel-model": "iris", "x-schnitzel-version": "3",
        "x-schnitzel-environment": "prod", "x-schnitzel-predictor": "iris-prod-v3-0",
        "x-schnitzel-input-id": "m1", "x-schnitzel-prediction-id": "p1", "x-schnitzel-status": 200,
    }  # fmt: skip


def test_a_dead_letter_keeps_the_message_and_its_properties_but_no_expiration():
    own = asked(
        content_type="text/csv", message_id="m1", correlation_id="c", message_type="t",
        app_id="sender", expiration="1000", headers={"own": 1},
    )  # fmt: skip
    refused = answer({"error_code": "BAD_REQUEST", "message": "no column 'a'"}, 400)
    message = contract.Writer(predictor(), "texts").dead_letter("dead", own, "BadInput", refused)
    properties = message.properties
    assert (message.exchange, message.routing_key, message.body) == ("", "dead", b"{}")
    assert (properties.content_type, properties.message_id) == ("text/csv", "m1")
    assert (properties.correlation_id, properties.message_type) == ("c", "t")
    assert not properties.expiration
    said = {name: properties.table[name] for name in ("own", "x-schnitzel-reason",
            "x-schnitzel-message", "x-schnitzel-status", "x-schnitzel-source")}  # fmt: skip
    assert said == {
        "own": 1, "x-schnitzel-reason": "BadInput", "x-schnitzel-message": "no column 'a'",
        "x-schnitzel-status": 400, "x-schnitzel-source": "texts",
    }  # fmt: skip
