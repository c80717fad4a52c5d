"""Where the router of examples/sentiment/ sends a message, and what its counts say."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from sentiment_router.routing import (
    BAD_ANSWER,
    BAD_TEXT,
    TEXT,
    TEXT_ID,
    Received,
    Unreadable,
    ask,
    dead_letter,
    route,
)
from sentiment_router.settings import BadSettings, queues, read
from sentiment_router.traffic import Count, Sentence, sentences, table
from support import ROOT

ROUTES = read({}).routes
HOME = ROOT / "examples/sentiment/router"


def text(body: bytes, **more) -> Received:
    return Received(body, **{"name": "one", "message_id": "one", **more})


def answer(language="en", probability=0.9, **headers) -> Received:
    body = json.dumps({"predictions": [{"language": language, "probability": probability}]})
    own = {TEXT: "Hello", TEXT_ID: "one", "x-schnitzel-version": "3", **headers}
    return Received(body.encode(), "derived", correlation_id="asked", headers=own)


def test_a_text_becomes_a_question_that_carries_it():
    sent = ask(text(b'{"text": "Hello"}', headers={"own": 1, "x-schnitzel-model": "m"}), ROUTES)
    assert sent.queue == "language.prod"
    assert json.loads(sent.body) == {"dataframe_split": {"columns": ["text"], "data": [["Hello"]]}}
    assert sent.headers == {"own": 1, TEXT: "Hello", TEXT_ID: "one"}
    assert sent.correlation_id == "one"


def test_plain_text_is_a_text():
    sent = ask(text("Grüße".encode(), content_type="text/plain; charset=utf-8"), ROUTES)
    assert sent.headers[TEXT] == "Grüße"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"text": 1}', None),
        (b'{"text": "\\ud800"}', None),  # half a character
        (b"[" * 100_000, None),
        (b"\xff", "text/plain"),
        (b"Hello", "image/png"),
    ],
)
def test_what_is_no_text_is_dead(body, kind):
    with pytest.raises(Unreadable) as raised:
        ask(text(body, content_type=kind), ROUTES)
    assert raised.value.reason == BAD_TEXT


@pytest.mark.parametrize(
    ("language", "probability", "queue", "reason"),
    [
        ("en", 0.9, "sentiment-en.prod", None),
        ("da", 0.5, "sentiment-da.prod", None),
        ("en", 0.499, "other.prod", "Unsure"),
        ("de", 1, "other.prod", "NoModel"),
        ("und", 0.0, "other.prod", "Unsure"),
    ],
)
def test_a_text_goes_to_the_model_of_its_language(language, probability, queue, reason):
    sent = route(answer(language, probability), ROUTES)
    assert (sent.queue, sent.headers.get("router-reason")) == (queue, reason)
    content = json.loads(sent.body)
    assert content == (
        {"text": "Hello"}
        if reason
        else {"dataframe_split": {"columns": ["text"], "data": [["Hello"]]}}
    )
    assert sent.headers["router-language"] == language
    assert sent.headers["router-probability"] == probability
    assert sent.headers["router-language-version"] == "3"
    assert sent.correlation_id == "asked"


@pytest.mark.parametrize(
    "wrong",
    [
        answer()._replace(body=b"{}"),
        answer()._replace(body=b'{"predictions": [1, 2]}'),
        answer()._replace(headers={}),
        answer(**{TEXT: 1}),
        answer(None),
        answer(probability="sure"),
        answer(probability=float("nan")),
    ],
)
def test_what_is_no_answer_is_dead(wrong):
    with pytest.raises(Unreadable) as raised:
        route(wrong, ROUTES)
    assert raised.value.reason == BAD_ANSWER


def test_the_ids_depend_on_the_text_s_own_id_alone():
    again = text(b'{"text": "Another"}')
    assert ask(text(b'{"text": "Hello"}'), ROUTES).message_id == ask(again, ROUTES).message_id
    ids = {
        route(answer(language, probability=each), ROUTES).message_id
        for language in ("en", "da", "de")
        for each in (0.1, 0.9)
    }
    assert len(ids) == 1
    assert route(answer(**{TEXT_ID: "two"}), ROUTES).message_id not in ids


def test_a_dead_letter_is_the_message_as_it_came_and_why():
    dead = text(b"{", content_type="application/json", headers={"own": 1, TEXT: "kept"})
    sent = dead_letter(dead, "texts", Unreadable(BAD_TEXT, "x" * 500), ROUTES)
    assert (sent.queue, sent.body, sent.message_id) == ("texts.prod.dead", b"{", "one")
    assert sent.headers == {
        "own": 1, TEXT: "kept", "router-reason": BAD_TEXT, "router-message": "x" * 300,
        "router-source": "texts",
    }  # fmt: skip


@given(st.binary() | st.text().map(str.encode), st.sampled_from([None, "text/plain"]))
def test_any_message_is_sent_on_or_dead(body, kind):
    message = text(body, content_type=kind)
    for decide in (ask, route):
        try:
            sent = decide(message, ROUTES)
        except Unreadable as error:
            sent = dead_letter(message, "texts", error, ROUTES)
        assert (sent.queue == "texts.prod.dead") == (TEXT not in sent.headers)
        for value in sent.headers.values():
            value.encode()


def test_the_settings_are_variables():
    found = read({"ROUTER_MODELS": "de=german", "ROUTER_THRESHOLD": "0.8", "ROUTER_TEXTS": "in"})
    own = {"models": {"de": "german"}, "threshold": 0.8, "texts": "in", "dead_letter": "in.dead"}
    assert found.routes == replace(ROUTES, **own)
    assert {"in", "in.dead", "german", "german.dead"} < set(queues(found.routes))


def test_each_environment_has_queues_of_its_own():
    staging = read({"ROUTER_ENVIRONMENT": "staging"}).routes
    assert len(queues(ROUTES)) == 11
    assert len({*queues(ROUTES), *queues(staging)}) == 22
    assert staging.detected == "language.staging.results"


def test_the_url_is_read_from_its_file_each_time(tmp_path):
    path = tmp_path / "url"
    found = read({"ROUTER_BROKER_URL_FILE": str(path)})
    with pytest.raises(BadSettings, match="ROUTER_BROKER_URL_FILE"):
        found.url()
    path.write_text("amqp://one\n")
    assert found.url() == "amqp://one"
    path.write_text("amqp://two\n")
    assert found.url() == "amqp://two"


@pytest.mark.parametrize("wrong", [{"ROUTER_MODELS": "en"}, {"ROUTER_THRESHOLD": "half"}])
def test_a_wrong_variable_is_named(wrong):
    with pytest.raises(BadSettings, match=next(iter(wrong))):
        read(wrong)


def test_sentences_come_from_files_in_parts(tmp_path):
    table_, lines = tmp_path / "a.csv", tmp_path / "b.txt"
    table_.write_text('text,language\n"One, two",en\nTo,da\n')
    lines.write_text("Eins\n\nZwei\nDrei\n")
    assert sentences([str(table_), f"de={lines}"]) == [
        Sentence("One, two", "en"), Sentence("To", "da"), Sentence("Eins", "de"),
        Sentence("Zwei", "de"), Sentence("Drei", "de"),
    ]  # fmt: skip
    assert sentences([f"de={lines}"], "2/2") == [Sentence("Zwei", "de")]
    assert [each.text for each in sentences([f"de={lines}"], most=2)] == ["Eins", "Drei"]


def test_what_is_missing_and_what_came_twice_is_counted():
    count = Count({"a": "en", "b": "en", "c": "da", "d": "da"})
    judged = {
        "router-language": "en", "router-language-version": "1",
        "x-schnitzel-model": "sentiment-en", "x-schnitzel-version": "2",
    }  # fmt: skip
    for name in ("a", "b", "b"):
        assert count.add(
            "sentiments", Received(b"", "x", headers={TEXT_ID: name, **judged}), dead=False
        )
    dead = Received(b"", "c", headers={"router-reason": BAD_TEXT})
    assert count.add("texts.dead", dead, dead=True)
    assert not count.add("other", Received(b"", "foreign"), dead=False)
    assert (count.missing, count.double, count.dead) == (1, 1, 1)
    lines = [line.split() for line in table(count)]
    assert ["en", "2"] in lines
    assert ["others", "2"] in lines
    assert ["en", "1", "sentiment-en", "2", "3"] in lines
    assert ["others", "-", "texts.dead:", "BadText", "-", "1"] in lines
    assert " ".join(lines[-1]) == "4 in, 4 out, 1 of them dead; 1 missing, 1 double"


def test_the_example_has_dependencies_of_its_own():
    own = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["dependencies"]
    assert own == ["aio-pika>=10.2,<11"]
    pins = (HOME / "requirements.txt").read_text()
    assert "\naio-pika==10." in f"\n{pins}"
    assert "://" not in pins
    platform = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    served = platform["optional-dependencies"]["platform"] + platform["dependencies"]
    assert not [line for line in served if "aio-pika" in line]
