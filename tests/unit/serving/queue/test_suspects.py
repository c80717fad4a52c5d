"""What a server remembers of the messages that it may have died of."""

from __future__ import annotations

import pytest

from serving.queue import contract
from serving.queue.amqp import wire
from serving.queue.suspects import DELIVERIES, REMEMBERED, Suspects


def asked(body: bytes = b"{}", *, redelivered: bool = True, **headers: int) -> contract.Input:
    table = {name.replace("_", "-"): value for name, value in headers.items()}
    own = wire.Properties(message_id="m1", headers=wire.entries(table))
    return contract.received(wire.Delivery(1, redelivered, wire.encoded(own), body))


def test_a_message_that_a_server_died_of_as_often_as_it_may_is_guilty(tmp_path):
    path = tmp_path / "suspects.json"
    for _ in range(2):
        begun = Suspects(path, 2)  # the server begins anew
        assert not begun.guilty(asked())
        begun.begin(asked())
    again = Suspects(path, 2)
    assert "died 2 times" in again.guilty(asked())
    assert not again.guilty(asked(b"[]"))
    assert not again.guilty(asked(redelivered=False))


def test_a_message_that_was_answered_is_forgotten_and_one_that_was_not_keeps_its_deaths(tmp_path):
    path = tmp_path / "suspects.json"
    Suspects(path, 2).begin(asked())
    second = Suspects(path, 2)
    second.begin(asked())
    second.end(asked(), answered=False)  # the connection broke: nobody died
    second.begin(asked())
    assert Suspects(path, 2).guilty(asked())
    second.end(asked(), answered=True)
    assert path.read_text() == "{}"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "b"}'])
def test_a_journal_that_is_no_journal_is_an_empty_one(tmp_path, text):
    path = tmp_path / "suspects.json"
    path.write_text(text)
    assert not Suspects(path, 1).guilty(asked())


def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path):
    suspects = Suspects(tmp_path / "missing" / "suspects.json", 1)
    suspects.begin(asked())
    suspects.end(asked(), answered=True)


def test_a_journal_does_not_grow_for_ever(tmp_path):
    suspects = Suspects(tmp_path / "suspects.json", 1)
    for number in range(REMEMBERED + 5):
        suspects.begin(asked(b"%d" % number))
    assert not suspects.guilty(asked(b"0"))
    assert suspects.guilty(asked(b"%d" % (REMEMBERED + 4)))


def test_a_quorum_queue_counts_itself(tmp_path):
    suspects = Suspects(tmp_path / "suspects.json", 2)
    assert not suspects.guilty(asked(x_delivery_count=DELIVERIES - 1))
    assert f"{DELIVERIES} times" in suspects.guilty(asked(x_delivery_count=DELIVERIES))
