"""Messages of a real RabbitMQ, answered by real model servers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pamqp.commands import Basic
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.model_server import Server
from support.systems.rabbitmq import Broker, Received, running_rabbitmq

from serving.queue.suspects import DELIVERIES

LARGEST = 16 * 2**20
"""The default of `max_body_bytes`, and many frames of AMQP."""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_rabbitmq() as running:
        yield running


class Queues:
    """The queues of one test, and the server that answers them."""

    def __init__(self, broker: Broker, start: Callable[..., Server], folder: Path) -> None:
        self.broker, self._start = broker, start
        name = uuid.uuid4().hex[:8]
        self.source, self.results, self.dead = f"{name}.in", f"{name}.out", f"{name}.dead"
        self.url_file = folder / "broker-url"
        self.url_file.write_text(broker.url())

    def declare(self) -> Queues:
        self.broker.declare(self.source, self.results, self.dead)
        return self

    def serve(self, name: str = "actor", queue: Any = None, **settings: Any) -> Server:
        """Start a server that consumes; `queue` are more of its settings of the queue."""
        own = {
            "source": self.source,
            "results": [{"routing_key": self.results}],
            "dead_letter": self.dead,
            "url_file": str(self.url_file),
            **(queue or {}),
        }
        return self._start(name, queue=own, **settings)

    def ask(self, *acts: tuple[str, float], **properties: Any) -> None:
        """Send one message for each act of the model."""
        bodies = [row(act, number) for act, number in acts]
        self.broker.send(self.source, *bodies, **properties)

    def number(self, count: int, first: int = 0) -> None:
        """Send messages with ids and numbers of their own."""
        messages = [
            (row("say", float(one)), Basic.Properties(delivery_mode=2, message_id=f"m{one}"))
            for one in range(first, first + count)
        ]
        self.broker.send_all(self.source, messages)

    def answered(self, count: int, seconds: float = 60) -> list[Received]:
        return self.broker.read(self.results, count, seconds)


def row(act: str, number: float = 1.0) -> bytes:
    return json.dumps(
        {"dataframe_split": {"columns": ["act", "number"], "data": [[act, number]]}}
    ).encode()


def numbers(results: list[Received]) -> list[float]:
    return [json.loads(each.body)["predictions"][0]["number"] for each in results]


def reason(server: Server, expected: str) -> dict[str, Any]:
    wait_for(lambda: server.state.get("reason") == expected, f"{expected} (seen: {server.state})")
    return server.state


@pytest.fixture
def queues(broker: Broker, serve: Callable[..., Server], tmp_path: Path) -> Queues:
    return Queues(broker, serve, tmp_path)


class TestAnswers:
    def test_a_message_gets_one_result_in_each_queue_with_who_answered_it(self, broker, queues):
        queues.declare()
        second = f"{queues.results}.second"
        broker.declare(second)
        server = queues.serve(
            queue={"results": [{"routing_key": queues.results}, {"routing_key": second}]}
        ).ready()
        sent = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "x-own": "kept"}
        queues.ask(
            ("say", 5.0), message_id="first", correlation_id="corr",
            headers={**sent, "x-schnitzel-version": "of the sender", "x-death": []},
        )  # fmt: skip
        [one], [other] = queues.answered(1), broker.read(second)
        assert numbers([one, other]) == [5.0, 5.0]
        assert one.properties.message_id != other.properties.message_id
        assert one.properties.correlation_id == "corr"
        assert one.properties.message_type == "prediction"
        assert one.properties.delivery_mode == 2
        assert one.properties.content_type == "application/json"
        said = one.headers
        prediction = said.pop("x-schnitzel-prediction-id")
        assert prediction == other.headers["x-schnitzel-prediction-id"]
        assert said == sent | {
            "x-schnitzel-model": "actor", "x-schnitzel-version": "3",
            "x-schnitzel-environment": "test", "x-schnitzel-predictor": "actor-test-v3-00000000",
            "x-schnitzel-input-id": "first", "x-schnitzel-status": 200,
        }  # fmt: skip
        wait_for(lambda: server.metric("schnitzel_messages_in_flight") == 0, "nothing")
        assert broker.depth(queues.source) == 0
        page = server.client.get("/metrics").text
        assert 'schnitzel_messages_total{end="answered"} 1' in page
        assert 'schnitzel_requests_total{route="queue",code="200"} 1' in page

    def test_the_id_of_a_result_comes_from_the_input_alone(self, queues):
        queues.declare()
        queues.serve().ready()
        queues.ask(("say", 1.0), ("say", 2.0), message_id="same")
        queues.ask(("say", 3.0), ("say", 4.0))
        ids = Counter(each.properties.message_id for each in queues.answered(4))
        assert sorted(ids.values()) == [1, 1, 2]

    def test_every_protocol_and_raw_content(self, queues):
        queues.declare()
        queues.serve("iris").ready()
        flower = [5.1, 3.5, 1.4, 0.2]
        names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
        tensors = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in zip(names, flower, strict=True)
        ]
        asked = {
            "application/json": json.dumps(
                {"dataframe_split": {"columns": names, "data": [flower]}}
            ),
            "text/csv": ",".join(names) + "\n" + ",".join(map(str, flower)) + "\n",
            "application/vnd.oip+json": json.dumps({"inputs": tensors}),
        }
        for kind, body in asked.items():
            queues.broker.send(queues.source, body.encode(), content_type=kind, message_id=kind)
        found = {
            each.headers["x-schnitzel-input-id"]: json.loads(each.body)
            for each in queues.answered(3)
        }
        assert found["application/json"]["predictions"] == [0]
        assert found["text/csv"]["predictions"] == [0]
        assert found["application/vnd.oip+json"]["outputs"][0]["data"] == [0]

    def test_a_prediction_chooses_the_queue_and_other_takes_the_rest(self, broker, queues):
        queues.declare()
        english, other = f"{queues.results}.en", f"{queues.results}.other"
        broker.declare(english, other)
        to = {"routing_key": f"{queues.results}.{{prediction.said}}", "other": other}
        queues.serve(queue={"results": [to]}).ready()
        queues.ask(("en", 1.0), ("da", 2.0), ("no key/at all", 3.0))
        assert numbers(broker.read(english)) == [1.0]
        assert sorted(numbers(broker.read(other, 2))) == [2.0, 3.0]

    def test_a_client_awaits_its_reply(self, broker, queues):
        queues.declare()
        queues.serve().ready()
        queues.ask(("say", 7.0), reply_to="amq.gen-gone-long-ago")
        queues.ask(("say", 8.0), reply_to=queues.dead)  # a queue that anyone could name
        assert sorted(numbers(queues.answered(2))) == [7.0, 8.0]
        assert broker.depth(queues.dead) == 0

    def test_a_quorum_queue_is_a_queue(self, broker, queues):
        for queue in (queues.source, queues.results, queues.dead):
            broker.declare(queue, **{"x-queue-type": "quorum"})
        queues.serve().ready()
        queues.ask(("say", 1.0), ("raise", 2.0))
        assert numbers(queues.answered(1)) == [1.0]
        [dead] = broker.read(queues.dead)
        assert dead.headers["x-schnitzel-reason"] == "ModelRaised"

    def test_a_message_that_came_back_too_often_is_dead_before_the_broker_drops_it(
        self, broker, queues
    ):
        broker.declare(queues.source, **{"x-queue-type": "quorum"})
        broker.declare(queues.results, queues.dead)
        queues.ask(("say", 1.0))
        broker.give_back(queues.source, DELIVERIES)
        queues.ask(("say", 2.0))
        queues.serve().ready()
        [dead] = broker.read(queues.dead)
        assert dead.headers["x-schnitzel-reason"] == "ServerKilled"
        assert f"{DELIVERIES} times" in dead.headers["x-schnitzel-message"]
        assert "x-delivery-count" not in dead.headers
        assert numbers(queues.answered(1)) == [2.0]


class TestDeadLetters:
    def test_what_cannot_be_answered_goes_to_the_dead_letter_queue_with_its_reason(self, queues):
        queues.declare()
        server = queues.serve(max_body_bytes=20_000).ready()
        queues.broker.send(queues.source, b"{", message_id="broken", headers={"x-own": "kept"})
        queues.broker.send(queues.source, row("x" * 30_000), message_id="large")
        queues.broker.send(queues.source, b"\xff", content_type="image/png", message_id="kind")
        queues.ask(("raise", 1.0), message_id="raising")
        queues.ask(("say", 5.0), message_id="fine")
        dead = {each.properties.message_id: each for each in queues.broker.read(queues.dead, 4)}
        assert numbers(queues.answered(1)) == [5.0]
        reasons = {name: each.headers["x-schnitzel-reason"] for name, each in dead.items()}
        assert reasons == {
            "broken": "BadInput", "large": "TooLarge", "kind": "BadInput", "raising": "ModelRaised",
        }  # fmt: skip
        assert dead["broken"].body == b"{"
        assert dead["broken"].headers["x-own"] == "kept"
        assert dead["broken"].headers["x-schnitzel-source"] == queues.source
        assert "cannot do 1.0" in dead["raising"].headers["x-schnitzel-message"]
        assert "hunter2" not in dead["raising"].headers["x-schnitzel-message"]
        assert server.log.count("cannot do 1.0") >= 2  # two tries
        assert 'schnitzel_dead_letters_total{reason="ModelRaised"} 1' in (
            server.client.get("/metrics").text
        )

    def test_a_message_that_kills_the_model_dies_and_the_others_are_answered(self, queues):
        queues.declare()
        server = queues.serve().ready()
        queues.ask(*[("say", float(n)) for n in range(20)], ("die", 0.0), ("say", 20.0))
        [dead] = queues.broker.read(queues.dead)
        assert dead.headers["x-schnitzel-reason"] == "WorkerKilled"
        assert sorted(numbers(queues.answered(21))) == [float(n) for n in range(21)]
        assert server.popen.poll() is None

    def test_a_message_that_ends_the_server_itself_dies_and_the_others_are_answered(
        self, broker, queues, gate, tmp_path
    ):
        queues.declare()
        settings = {"queue": {"attempts": 1}, "state_file": str(tmp_path / "state.json")}
        queues.ask((gate.ask, 0.0), message_id="deadly")
        queues.number(3, first=1)
        for _ in range(2):  # the first death proves nothing: it may have been any message's
            server = queues.serve(**settings)
            gate.reached(server)
            os.kill(server.popen.pid, signal.SIGKILL)
            server.wait()
            assert broker.depth(queues.dead) == 0
        queues.serve(**settings)
        [dead] = broker.read(queues.dead)
        assert dead.properties.message_id == "deadly"
        assert dead.headers["x-schnitzel-reason"] == "ServerKilled"
        assert sorted(numbers(queues.answered(3))) == [1.0, 2.0, 3.0]

    def test_a_body_of_the_most_bytes_is_answered_and_one_byte_more_is_too_large(self, queues):
        queues.declare()
        server = queues.serve(max_body_bytes=LARGEST).ready()
        text = "x" * (LARGEST - len(row("")))
        largest, larger = row(text), row(text + "x")
        assert len(largest) == LARGEST
        queues.broker.send(queues.source, larger, largest, largest)
        [dead] = queues.broker.read(queues.dead)
        assert dead.headers["x-schnitzel-reason"] == "TooLarge"
        assert dead.body == larger
        for result in queues.answered(2):  # as large as the question: the model repeats it
            assert json.loads(result.body)["predictions"][0]["said"] == text
        assert server.popen.poll() is None


class TestTheBroker:
    def test_a_queue_that_is_missing_is_named_until_it_is_made(self, broker, queues):
        broker.declare(queues.source, queues.dead)
        server = queues.serve()
        state = reason(server, "QueueMissing")
        assert f"queue '{queues.results}'" in state["message"]
        assert server.client.get("/v2/health/ready").json()["reason"] == "QueueMissing"
        queues.number(3)
        queues.declare()
        assert len(queues.answered(3)) == 3
        server.ready()

    def test_a_source_queue_that_is_deleted_and_made_again(self, broker, queues):
        queues.declare()
        server = queues.serve().ready()
        broker.delete(queues.source)
        reason(server, "QueueMissing")
        broker.declare(queues.source)
        queues.number(3)
        assert len(queues.answered(3)) == 3

    def test_results_that_nobody_takes_are_held_back_in_the_source(self, broker, queues):
        queues.declare()
        server = queues.serve().ready()
        exchange = f"{queues.results}.exchange"
        broker.exchange(exchange, "direct")
        server.stop()
        server = queues.serve(queue={"results": [{"exchange": exchange, "routing_key": "key"}]})
        server.ready()
        queues.number(50)
        assert "routing key 'key'" in reason(server, "ResultRefused")["message"]
        assert broker.depth(queues.dead) == 0
        broker.exchange(exchange, "direct", **{queues.results: "key"})
        assert sorted(set(numbers(queues.answered(50)))) == [float(n) for n in range(50)]
        wait_for(lambda: server.state["phase"] == "ready", "the state to say so")

    def test_a_result_queue_that_is_deleted_and_made_again(self, broker, queues):
        queues.declare()
        server = queues.serve().ready()
        queues.number(1)
        queues.answered(1)
        broker.delete(queues.results)
        queues.number(5, first=1)
        assert f"queue '{queues.results}'" in reason(server, "ResultRefused")["message"]
        assert server.client.get("/v2/health/ready").json()["reason"] == "ResultRefused"
        queues.declare()
        assert sorted(numbers(queues.answered(5))) == [1.0, 2.0, 3.0, 4.0, 5.0]
        wait_for(lambda: server.state["phase"] == "ready", "the state to say so")
        page = server.client.get("/metrics").text
        assert 'schnitzel_requests_total{route="queue",code="200"} 6' in page  # none asked anew

    def test_a_result_queue_that_is_full_holds_the_messages_back(self, broker, queues):
        broker.declare(queues.source, queues.dead)
        broker.declare(queues.results, **{"x-max-length": 5, "x-overflow": "reject-publish"})
        server = queues.serve().ready()
        queues.number(40)
        assert "is the queue full?" in reason(server, "ResultRefused")["message"]
        found: list[Received] = []

        def all_of_them() -> bool:
            found.extend(broker.take(queues.results))
            return len(set(numbers(found))) == 40

        wait_for(all_of_them, "every result", seconds=120)
        assert broker.depth(queues.dead) == 0

    def test_a_broker_that_is_short_of_memory_holds_the_results_back(self, broker, queues, gate):
        queues.declare()
        server = queues.serve().ready()
        queues.ask((gate.ask, 1.0), ("say", 2.0))
        gate.reached(server)
        broker.ctl("set_vm_memory_high_watermark", "0.00001")
        try:
            gate.open()
            assert "short of memory" in reason(server, "BrokerBlocked")["message"]
        finally:
            broker.ctl("set_vm_memory_high_watermark", "0.4")
        assert sorted(numbers(queues.answered(2))) == [1.0, 2.0]
        wait_for(lambda: server.state["phase"] == "ready", "the state to say so")

    def test_a_password_that_is_revoked_and_a_new_one(self, broker, queues):
        queues.declare()
        user, secret = f"user-{uuid.uuid4().hex[:6]}", "s3cr3t-of-the-queue"
        broker.ctl("add_user", user, secret)
        broker.ctl("set_permissions", user, ".*", ".*", ".*")
        queues.url_file.write_text(broker.url(user, secret))
        server = queues.serve().ready()
        queues.number(1)
        queues.answered(1)
        broker.ctl("change_password", user, "another")
        broker.ctl("close_all_user_connections", user, "rotation")
        reason(server, "QueueRefused")
        queues.url_file.write_text(broker.url(user, "another"))
        queues.number(1, first=1)
        assert numbers(queues.answered(1)) == [1.0]
        for seen in (server.log, json.dumps(server.state), json.dumps(server.predictor)):
            assert secret not in seen

    def test_a_broker_that_is_killed_loses_no_message(self, broker, queues):
        queues.declare()
        server = queues.serve().ready()
        queues.number(300)
        found = set(numbers(queues.answered(1)))
        broker.kill()
        reason(server, "QueueUnreachable")
        broker.start()

        def all_of_them() -> bool:
            found.update(numbers(broker.take(queues.results)))
            return len(found) == 300

        wait_for(all_of_them, "every result", seconds=60)
        assert broker.depth(queues.dead) == 0


IN_FLIGHT = "schnitzel_messages_in_flight"


class TestServers:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_a_server_that_ends_leaves_its_messages_to_the_next(self, broker, queues, number):
        queues.declare()
        first, second = queues.serve().ready(), queues.serve().ready()
        queues.number(600)
        found = queues.answered(50)
        os.kill(first.popen.pid, number)
        code = first.wait()
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        wait_for(
            lambda: broker.depth(queues.source) == 0 and second.metric(IN_FLIGHT) == 0,
            "an empty source",
        )
        found += broker.take(queues.results)
        ids = Counter(each.properties.message_id for each in found)
        assert sorted(set(numbers(found))) == [float(n) for n in range(600)]
        assert len(ids) == 600  # a double has the id of its first
        if number == signal.SIGTERM:
            assert set(ids.values()) == {1}
        assert broker.depth(queues.dead) == 0

    def test_a_server_without_a_share_is_connected_and_silent(self, broker, queues):
        queues.declare()
        server = queues.serve(queue={"share": [0, 0]}).ready()
        queues.number(3)
        assert broker.consumers(queues.source) == 0
        assert broker.depth(queues.source) == 3
        assert server.act("say", 2.0).status_code == 200

    def test_a_share_is_changed_by_who_has_the_token_and_outlives_a_restart(
        self, broker, queues, tmp_path
    ):
        queues.declare()
        port, token = free_port(), "token-of-this-server"
        settings = {
            "admin_port": port,
            "admin_token_digest": hashlib.sha256(token.encode()).hexdigest(),
            "state_file": str(tmp_path / "state.json"),
        }
        queue = {"share": [0, 0]}
        server = queues.serve(queue=queue, **settings)
        server.state_file = tmp_path / "state.json"
        server.ready()
        url = f"http://127.0.0.1:{port}/schnitzel/queue"

        def put(content: Any, sent: str = token) -> int:
            headers = {"authorization": f"Bearer {sent}"}
            return httpx.put(url, json=content, headers=headers, trust_env=False).status_code

        queues.number(3)
        assert put({"share": [0, 1]}, "guessed") == 401
        assert httpx.put(url, json={"share": [0, 1]}, trust_env=False).status_code == 401
        for wrong in (
            {"share": [0.5, 0.1]},
            {"share": [0]},
            {"share": "all"},
            {},
            [],
            {"share": [0, 2]},
        ):
            assert put(wrong) == 400
        assert broker.depth(queues.source) == 3
        assert put({"share": [0, 1]}) == 200
        assert len(queues.answered(3)) == 3
        assert httpx.get(url, trust_env=False).json()["share"] == [0.0, 1.0]
        server.stop()
        again = queues.serve(queue=queue, **settings)
        again.state_file = tmp_path / "state.json"
        queues.number(3, first=3)
        assert len(queues.answered(3)) == 3
        assert put({"share": [0.2, 0.2]}) == 200
        wait_for(lambda: broker.consumers(queues.source) == 0, "silence")
        again.stop()  # its state file is also that of the first, which is looked at when all ends

    def test_shares_hold_under_a_backlog(self, queues):
        queues.declare()
        for predictor, share in (("champion", [0, 0.7]), ("challenger", [0.7, 1])):
            queues.serve(queue={"share": share}, predictor=predictor).ready()
        queues.number(3000)
        who = Counter(each.headers["x-schnitzel-predictor"] for each in queues.answered(3000))
        assert 0.1 <= who["challenger"] / 3000 <= 0.55, who

    def test_large_messages_are_bounded_in_memory(self, broker, queues):
        queues.declare()
        server = queues.serve(max_body_bytes=2_000_000).ready()
        queues.broker.send(queues.source, *[row("x" * 1_900_000)] * 40)
        found: list[Received] = []
        most = 0.0

        def all_of_them() -> bool:
            nonlocal most
            most = max(most, server.metric("schnitzel_messages_held_bytes"))
            found.extend(broker.take(queues.results))
            return len(found) >= 40

        wait_for(all_of_them, "every result")
        assert most <= 2 * 8 * 2_000_000, "eight messages, and all of their answers at once"


def test_a_predictor_with_a_wrong_queue_says_which_field(serve):
    server = serve("actor", queue={"source": "", "results": [], "dead_letter": "x"})
    assert server.wait() == 2
    assert "'queue.source'" in server.log
