"""The queues of deployments over HTTP: what is known of them, and what is done to them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pamqp.commands import Basic
from support.queues import MemoryBroker, queue_predictor, server_says

from deployer.api import app as api
from deployer.api.queues import lag
from deployer.brokers.client import Brokers
from deployer.brokers.contract import Message, waiting
from deployer.brokers.loop import Loop
from deployer.controller.metrics import Metrics
from deployer.controller.queues import POINTS, QueueWatch
from deployer.errors import BrokerUnreachable, NotFound, TargetUnavailable
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Candidate, Record
from deployer.state.registry import VersionId

ONE = "/api/v1/deployments/angler-prod/queue"
SOURCE, RESULTS, DEAD = "angler.prod", "angler.prod.results", "angler.prod.dead"


class Target:
    """A target whose servers say what a test put in; an error in their place is raised."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, bytes]] = {}
        self.counted: dict[str, dict[str, bytes]] = {}
        self.error: Exception | None = None

    def queues(self, predictor: Predictor) -> Mapping[str, bytes]:
        if self.error:
            raise self.error
        return self.said.get(predictor.name, {})

    def windows(self, predictor: Predictor) -> Mapping[str, bytes]:
        return self.counted.get(predictor.name, {})


def counts(each_window: int, windows: int = 10) -> bytes:
    """The windows of a server that began with window 0, and answered as much in each since."""
    ended = [{"sequence": n, "counts": {"ok": each_window}} for n in range(1, windows + 1)]
    found = {
        "format": 1, "window_seconds": 10, "process": {"id": "p", "started": 0.0},
        "sequence": windows + 1, "windows": ended,
    }  # fmt: skip
    return json.dumps(found).encode()


@dataclass
class World:
    """A Deployer's API over one deployment that answers a queue."""

    record: Record
    tokens: Path
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    target: Target = field(default_factory=Target)
    history: list[Any] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.broker.queues = {SOURCE: [], RESULTS: [], DEAD: []}
        brokers: Any = {"default": self.broker}
        targets: Any = {"prod": self.target}
        self.watch = QueueWatch(
            Brokers(brokers, Loop()), lambda: [self.record], targets, lambda: self.now
        )
        kept = SimpleNamespace(append=lambda event, _: self.history.append(event))
        self.context = SimpleNamespace(queues=self.watch, history=kept, clock=lambda: self.now)
        self.metrics = Metrics()
        self.app = api.make(self, self.tokens, "", ["here"])  # type: ignore[arg-type]

    def statuses(self) -> list[Any]:
        return [SimpleNamespace(record=self.record)]

    def status(self, deployment: str) -> Any:
        if deployment != self.record.id:
            raise NotFound(f"There is no deployment {deployment!r}.")
        return SimpleNamespace(record=self.record)

    def look(self) -> None:
        self.watch.read_depths()
        self.watch.read_servers()

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                headers = {"Authorization": "Bearer t"}
                return await client.request(method, path, json=body, headers=headers)

        return asyncio.run(send())


@pytest.fixture
def world(tmp_path: Path) -> World:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({hashlib.sha256(b"t").hexdigest(): "ada"}))
    record = Record("angler-prod", "angler", "prod").with_champion(queue_predictor())
    return World(record, tokens)


def test_a_queue_is_listed_with_its_depth_rate_lag_and_shares(world: World) -> None:
    candidate = queue_predictor(2)
    world.record = Record("angler-prod", "angler", "prod", candidate=Candidate(candidate, 1.0, 0))
    world.record = world.record.with_champion(queue_predictor())
    world.broker.consumers[SOURCE] = 2
    world.broker.send(SOURCE, [Message(b"{}")] * 60)
    world.target.said = {
        "angler-prod-v1": {
            "a": server_says(share=[0.1, 1.0]),
            "b": server_says(share=[0.1, 1.0], in_flight=1),
        },
        "angler-prod-v2": {"c": server_says(share=[0.0, 0.1], consumes=False, in_flight=0)},
    }
    world.target.counted = {
        "angler-prod-v1": {"a": counts(100), "b": counts(40)},
        "angler-prod-v2": {"c": counts(10)},
    }
    world.look()
    [found] = world.ask("GET", "/api/v1/queues").json()["queues"]
    assert (found["source"], found["ready"], found["consumers"]) == (SOURCE, 60, 2)
    assert (found["in_flight"], found["dead"], found["trouble"]) == (4, 0, None)
    assert found["answered_per_second"] == pytest.approx(15.0)
    assert found["lag_seconds"] == pytest.approx(4.0)
    two, one = found["versions"]
    assert (one["version"], one["role"], one["share"], one["consuming"]) == (
        "1", "champion", pytest.approx(0.9), 2,
    )  # fmt: skip
    assert (two["version"], two["role"], two["consuming"]) == ("2", "candidate", 0)
    assert two["answered_per_second"] == pytest.approx(1.0)


def test_a_lag_is_known_only_where_something_is_answered() -> None:
    assert lag(0, None) == 0.0
    assert lag(5, 0.0) is None
    assert lag(5, None) is None
    assert lag(5, 2.0) == 2.5


def test_before_the_first_look_nothing_is_known(world: World) -> None:
    found = world.ask("GET", ONE).json()
    unknown = ("ready", "consumers", "in_flight", "dead", "answered_per_second", "lag_seconds")
    assert {found[name] for name in unknown} == {None}
    assert (found["versions"], found["history"], found["trouble"]) == ([], [], None)


def test_a_missing_queue_is_the_trouble_and_the_next_step_makes_it(world: World) -> None:
    del world.broker.queues[RESULTS]
    world.look()
    found = world.ask("GET", ONE).json()
    assert found["ready"] == 0
    assert found["trouble"] == {
        "reason": "QueueMissing",
        "message": f"The broker 'default' has no queue '{RESULTS}'.",
        "next_step": "schnitzel queue create angler -e prod",
    }
    assert found["results"][0]["message"] == found["trouble"]["message"]


def test_a_broker_that_is_away_is_the_trouble(world: World) -> None:
    world.look()
    world.broker.error = BrokerUnreachable("The broker 'default' does not answer.", "Start it.")
    world.look()
    found = world.ask("GET", ONE).json()
    assert (found["ready"], found["trouble"]["reason"]) == (None, "BrokerUnreachable")
    assert found["trouble"]["next_step"] == "Start it."
    answer = world.ask("POST", f"{ONE}/send", {"messages": [{"body": "{}"}]})
    assert (answer.status_code, answer.json()["hint"]) == (503, "Start it.")


def test_a_reading_that_is_old_says_nothing(world: World) -> None:
    world.look()
    world.now += 15.0
    assert world.watch.latest("default", SOURCE) is None
    assert world.ask("GET", ONE).json()["ready"] is None


def test_a_server_that_is_silent_or_in_trouble_is_named(world: World) -> None:
    world.target.said = {"angler-prod-v1": {"a": server_says(), "b": b""}}
    world.look()
    found = world.ask("GET", ONE).json()
    assert found["trouble"]["reason"] == "ServerSilent"
    assert found["trouble"]["message"] == "b: the server does not answer"
    assert found["trouble"]["next_step"] == "schnitzel deploy status angler -e prod"
    refused = server_says(reason="ResultRefused", message="no queue takes results", consumes=False)
    world.target.said = {"angler-prod-v1": {"a": refused}}
    world.look()
    assert world.ask("GET", ONE).json()["trouble"]["reason"] == "ResultRefused"


def test_a_target_that_cannot_be_asked_hides_no_depth(world: World) -> None:
    world.target.error = TargetUnavailable("away")
    world.look()
    found = world.ask("GET", ONE).json()
    assert (found["ready"], found["in_flight"]) == (0, None)


def test_the_history_has_a_point_each_ten_seconds_and_ends(world: World) -> None:
    world.target.counted = {"angler-prod-v1": {"a": counts(100)}}
    for _ in range(POINTS + 1):
        world.broker.send(SOURCE, [Message(b"{}")])
        world.look()
        world.now += 5.0
        world.look()  # too early for a point
        world.now += 5.0
    points = world.ask("GET", ONE).json()["history"]
    assert len(points) == POINTS
    assert [points[0]["ready"], points[-1]["ready"]] == [2, POINTS + 1]
    assert points[-1]["answered_per_second"] == pytest.approx(10.0)


def test_messages_are_sent_to_the_source_each_with_an_id(world: World) -> None:
    body = {"messages": [{"body": "{}"}], "count": 3}
    sent = world.ask("POST", f"{ONE}/send", body).json()
    assert sent["queue"] == SOURCE
    assert len(set(sent["message_ids"])) == 3
    assert len(world.broker.queues[SOURCE]) == 3
    [event] = world.history
    assert (event.who, event.detail) == ("ada", f"3 messages to {SOURCE} at default")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"body": "{}"}], "count": 1_001},
        {"messages": [{"body": "{}", "message_id": "\u00e4" * 128}]},
        {"messages": [{"body": "{}", "content_type": ""}]},
        {"messages": [{"body": "{}"}] * 2, "count": 501},
        {"messages": [{"body": "{}", "message_id": "mine"}], "count": 2},
    ],
)
def test_what_cannot_be_sent_is_refused(world: World, body: Any) -> None:
    assert world.ask("POST", f"{ONE}/send", body).status_code == 422
    assert not world.history


def test_who_meets_a_missing_queue_is_told_how_to_make_it(world: World) -> None:
    world.broker.queues.clear()
    for path, body in (
        ("send", {"messages": [{"body": "{}"}]}), ("peek", {}), ("replay", {"all": True}),
    ):  # fmt: skip
        answer = world.ask("POST", f"{ONE}/{path}", body)
        assert answer.status_code == 409
        assert answer.json()["hint"] == "schnitzel queue create angler -e prod"


def test_a_broker_that_goes_and_comes_is_logged_once_each(world: World, caplog: Any) -> None:
    caplog.set_level("INFO", "deployer.brokers.readings")
    world.broker.error = BrokerUnreachable("The broker is away.")
    world.look()
    world.look()
    world.broker.error = None
    world.look()
    world.look()
    said = [record.message for record in caplog.records]
    assert said == ["The broker is away.", "the broker 'default' answers again"]


def test_a_look_shows_the_messages_of_a_queue_of_the_deployment_alone(world: World) -> None:
    headers: Any = {"x-schnitzel-reason": "BadInput", "x-schnitzel-message": "no column a"}
    properties = Basic.Properties(message_id="m-1", headers=headers)
    world.broker.queues[DEAD].append(waiting(b"x" * 5_000, properties, redelivered=True))
    world.broker.queues["secrets"] = []
    found = world.ask("POST", f"{ONE}/peek", {"queue": "dead"}).json()
    assert (found["queue"], found["ready"]) == (DEAD, 1)
    [one] = found["messages"]
    assert (one["id"], one["reason"], one["message"]) == ("m-1", "BadInput", "no column a")
    assert (one["size"], len(one["body"])) == (5_000, 4_096)
    assert world.ask("POST", f"{ONE}/peek", {"queue": RESULTS}).json()["messages"] == []
    other = world.ask("POST", f"{ONE}/peek", {"queue": "secrets"})
    assert other.status_code == 404
    assert other.json()["hint"] == f"It has {SOURCE}, {RESULTS}, {DEAD}."


def test_dead_letters_are_replayed_and_the_history_says_what_became_of_them(world: World) -> None:
    properties = Basic.Properties(message_id="m-1")
    world.broker.queues[DEAD] = [waiting(b"{}", properties, redelivered=False)]
    found = world.ask("POST", f"{ONE}/replay", {"reasons": ["BadInput"]}).json()
    assert found == {"replayed": 1, "kept": 0, "left": 0}
    [chosen] = world.broker.chosen
    assert (chosen.reasons, chosen.source) == (["BadInput"], SOURCE)
    asked, ended = world.history
    assert asked.detail == f"BadInput, 1000 at most, from {DEAD} at default to {SOURCE}"
    assert (ended.who, ended.detail) == ("ada", "1 sent again, 0 given back")
    for body in ({}, {"all": True, "ids": ["m-1"]}):
        assert world.ask("POST", f"{ONE}/replay", body).status_code == 422


def test_the_queues_of_champion_and_candidate_are_made(world: World) -> None:
    candidate = queue_predictor(2, source="new.in", results=[{"exchange": "e", "routing_key": "k"}])
    world.record = Record("angler-prod", "angler", "prod", candidate=Candidate(candidate, 1.0, 0))
    world.record = world.record.with_champion(queue_predictor())
    found = world.ask("POST", f"{ONE}/create", {}).json()
    outcomes = {one["name"]: one["outcome"] for one in found["queues"]}
    assert outcomes == {"new.in": "made", DEAD: "there", SOURCE: "there", RESULTS: "there"}
    assert found["elsewhere"] == ["e/k"]
    assert [event.action for event in world.history] == ["create queues", "create queues"]


def test_a_deployment_without_a_queue_says_so(world: World) -> None:
    version = VersionId("angler", 1, 1)
    plain = Predictor("v1", version, Role.CHAMPION, "d", "s", ServingSpec())
    world.record = Record("angler-prod", "angler", "prod").with_champion(plain)
    assert world.ask("GET", "/api/v1/queues").json() == {"queues": []}
    answer = world.ask("GET", ONE)
    assert answer.status_code == 404
    assert "angler in prod answers no queue" in answer.json()["error"]
    assert world.ask("POST", f"{ONE}/create", {}).status_code == 404
