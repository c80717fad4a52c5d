"""The Deployer's way to a real RabbitMQ: depths, messages, dead letters, and a broker that goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.run.wait import wait_for
from support.systems.rabbitmq import Broker as Rabbit, running_rabbitmq

from deployer.brokers.client import Broker, Brokers
from deployer.brokers.contract import Chosen, Depth, Message
from deployer.brokers.loop import Loop
from deployer.brokers.queues import NewQueue
from deployer.brokers.readings import Readings
from deployer.errors import (
    BrokerRefused,
    BrokerUnreachable,
    QueueMissing,
    SchnitzelError,
    SettingsInvalid,
)

DEAD = {
    "x-schnitzel-reason": "BadInput",
    "x-schnitzel-message": "no column a",
    "x-death": [{"reason": "rejected"}],
    "tenant": "t1",
}


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Rabbit]:
    with running_rabbitmq() as broker:
        yield broker


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


@pytest.fixture(scope="module")
def broker(rabbit: Rabbit, loop: Loop) -> Broker:
    return Broker("default", rabbit.url, None, loop)


def kill(rabbit: Rabbit, name: str, count: int, **headers: object) -> None:
    for number in range(count):
        rabbit.send(name, b"[1]", message_id=f"{name}-{number}", headers={**DEAD, **headers})


def test_a_missing_queue_hides_no_other(rabbit: Rabbit, broker: Broker) -> None:
    rabbit.declare("d.one", "d.two")
    rabbit.send("d.two", b"a", b"b")
    found = broker.depths(["d.gone", "d.one", "d.away", "d.two"])
    assert (found["d.one"], found["d.two"]) == (Depth(0, 0), Depth(2, 0))
    assert isinstance(found["d.gone"], QueueMissing)
    assert isinstance(found["d.away"], QueueMissing)
    assert "no queue 'd.gone'" in str(found["d.gone"])


def test_what_is_sent_is_persistent_and_has_an_id(rabbit: Rabbit, broker: Broker) -> None:
    rabbit.declare("s.in")
    ids = broker.send("s.in", [Message(b"[1]"), Message(b"a\n1\n", "text/csv", "mine")])
    assert ids[1] == "mine"
    first, second = rabbit.read("s.in", 2)
    assert (first.properties.message_id, first.properties.delivery_mode) == (ids[0], 2)
    assert (second.body, second.properties.content_type) == (b"a\n1\n", "text/csv")


def test_a_message_for_a_missing_or_full_queue_is_refused(rabbit: Rabbit, broker: Broker) -> None:
    with pytest.raises(QueueMissing) as missing:
        broker.send("s.gone", [Message(b"[1]")])
    assert missing.value.hint == "Make it: schnitzel queue create"
    rabbit.declare("s.full", **{"x-max-length": 1, "x-overflow": "reject-publish"})
    broker.send("s.full", [Message(b"[1]")])
    with pytest.raises(BrokerRefused, match="it is full"):
        broker.send("s.full", [Message(b"[2]")])


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_a_look_leaves_every_message_there(rabbit: Rabbit, broker: Broker, kind: str) -> None:
    name = f"p.{kind}"
    rabbit.declare(name, **{"x-queue-type": kind})
    kill(rabbit, name, 3)
    wait_for(lambda: rabbit.depth(name) == 3, "the messages")
    seen = broker.peek(name, 2)
    assert [each.id for each in seen.messages] == [f"{name}-0", f"{name}-1"]
    assert seen.ready == 3
    first = seen.messages[0]
    assert (first.body, first.size, first.reason) == ("[1]", 3, "BadInput")
    assert first.headers["tenant"] == "t1"
    wait_for(lambda: rabbit.depth(name) == 3, "all of them to be back")
    back = [str(each.properties.message_id) for each in rabbit.read(name, 3)]
    if kind == "quorum":  # which puts what was given back behind the others
        back.sort()
    assert back == [f"{name}-{number}" for number in range(3)]


def test_chosen_dead_letters_are_replayed_and_the_others_stay(
    rabbit: Rabbit, broker: Broker
) -> None:
    rabbit.declare("r.in", "r.dead")
    kill(rabbit, "r.dead", 4)
    rabbit.send("r.dead", b"[9]", headers={"x-schnitzel-reason": "TimedOut"})
    by_id = broker.replay("r.dead", "r.in", Chosen(ids=["r.dead-1", "r.dead-3"]), 100)
    assert (by_id.replayed, by_id.kept, by_id.left) == (2, 3, 0)
    back = rabbit.read("r.in", 2)
    assert [each.properties.message_id for each in back] == ["r.dead-1", "r.dead-3"]
    assert back[0].headers == {"tenant": "t1"}
    wait_for(lambda: rabbit.depth("r.dead") == 3, "the others to be back")
    by_reason = broker.replay("r.dead", "r.in", Chosen(reasons=["TimedOut"]), 100)
    assert (by_reason.replayed, by_reason.kept) == (1, 2)
    assert rabbit.read("r.in")[0].body == b"[9]"
    wait_for(lambda: rabbit.depth("r.dead") == 2, "the others to be back")
    one = broker.replay("r.dead", "r.in", Chosen(), 1)
    assert (one.replayed, one.left) == (1, 1)
    wait_for(lambda: rabbit.depth("r.dead") == 1, "the last one")


def test_dead_letters_whose_source_is_missing_stay(rabbit: Rabbit, broker: Broker) -> None:
    rabbit.declare("m.dead")
    kill(rabbit, "m.dead", 2)
    with pytest.raises(QueueMissing, match=r"m\.gone"):
        broker.replay("m.dead", "m.gone", Chosen(), 100)
    wait_for(lambda: rabbit.depth("m.dead") == 2, "both to be back")


def test_a_replay_ends_although_dead_letters_come_back(rabbit: Rabbit, broker: Broker) -> None:
    rabbit.declare("e.dead")
    kill(rabbit, "e.dead", 3)
    done = broker.replay("e.dead", "e.dead", Chosen(), 100)
    assert (done.replayed, done.left) == (3, 0)
    assert rabbit.depth("e.dead") == 3


def test_queues_are_made_once_and_what_the_broker_gives_up_is_a_dead_letter(
    rabbit: Rabbit, broker: Broker
) -> None:
    wanted = [NewQueue("c.in", "c.dead"), NewQueue("c.dead")]
    assert broker.create(wanted, "quorum") == {"c.in": "made", "c.dead": "made"}
    assert broker.create(wanted, "quorum") == {"c.in": "there", "c.dead": "there"}
    assert broker.create(wanted, "classic") == {"c.in": "differs", "c.dead": "differs"}
    rabbit.send("c.in", b"[1]", message_id="late", expiration="1")
    wait_for(lambda: rabbit.depth("c.dead") == 1, "the message to be given up")
    [seen] = broker.peek("c.dead", 10).messages
    assert (seen.id, seen.reason) == ("late", "expired")


def test_a_refused_user_is_named_without_the_password(rabbit: Rabbit, loop: Loop) -> None:
    wrong = Broker("default", lambda: rabbit.url(password="hunter2"), None, loop)
    with pytest.raises(BrokerRefused) as refused:
        wrong.depths(["d.one"])
    assert "hunter2" not in refused.value.message + refused.value.hint
    assert "refuses the user" in refused.value.message
    with pytest.raises(SettingsInvalid) as unreadable:
        Broker("default", lambda: "http://u:hunter2@h/", None, loop).depths(["d.one"])
    assert "hunter2" not in unreadable.value.message + unreadable.value.hint


def test_a_user_without_permissions_reads_depths_and_nothing_else(
    rabbit: Rabbit, loop: Loop
) -> None:
    rabbit.declare("a.in", "a.dead")
    rabbit.send("a.dead", b"[1]")
    rabbit.ctl("add_user", "reader", "s3cret")
    rabbit.ctl("set_permissions", "reader", "^$", "^$", r"^a\.in$")
    reader = Broker("default", lambda: rabbit.url("reader", "s3cret"), None, loop)
    found = reader.depths(["a.dead", "a.in"])
    assert found == {"a.in": Depth(0, 0), "a.dead": Depth(1, 0)}, "a depth needs no permission"
    with pytest.raises(BrokerRefused, match=r"a\.in"):
        reader.send("a.in", [Message(b"[1]")])
    with pytest.raises(BrokerRefused, match=r"a\.new"):
        reader.create([NewQueue("a.new")], "classic")
    with pytest.raises(BrokerRefused, match=r"a\.dead"):
        reader.peek("a.dead", 1)
    rabbit.ctl("set_permissions", "reader", r"^a\.new", r"^amq\.default$", r"^a\.")
    assert reader.create([NewQueue("a.new", "a.dead")], "quorum") == {"a.new": "made"}
    assert reader.send("a.new", [Message(b"[1]", message_id="m")]) == ["m"]
    assert reader.peek("a.new", 1).ready == 1


def test_a_broker_that_was_away_is_used_again(tmp_path: Path, rabbit: Rabbit, loop: Loop) -> None:
    secret = tmp_path / "url"
    secret.write_text(rabbit.url())
    broker = Broker("default", secret.read_text, None, loop)
    readings = Readings(Brokers({"default": broker}, loop), lambda: 1.0)

    def found() -> object:
        try:
            return broker.depths(["w.in"])["w.in"]
        except SchnitzelError as error:
            return error

    rabbit.declare("w.in", **{"x-queue-type": "quorum"})
    readings.read([("default", "w.in"), ("other", "w.in")])
    assert readings.latest("default", "w.in") == Depth(0, 0)
    assert "no broker 'other'" in str(readings.last("other", "w.in").error)
    rabbit.kill()
    away = rf"127\.0\.0\.1:{rabbit.port} does not answer: connection refused\."
    wait_for(lambda: "refused" in str(found()), "the port to be closed")
    with pytest.raises(BrokerUnreachable, match=away):
        broker.depths(["w.in"])
    readings.read([("default", "w.in")])
    assert readings.latest("default", "w.in") is None
    rabbit.start()

    wait_for(lambda: found() == Depth(0, 0), "the broker to be used again")
