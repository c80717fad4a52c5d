"""Which weights a real gateway serves, asked of it; on a real cluster, under its own controller."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.errors import GatewayUnavailable
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.observe import gateway
from deployer.targets.kubernetes.observe.gateway import Gateway
from deployer.targets.kubernetes.render import route
from deployer.targets.kubernetes.render.route import Labels, Parent

ID = "angler-prod"


def routed(namespace: str = "prod", parent: Parent = Parent("g", "e"), **weights: int) -> Any:  # noqa: B008
    weighted = tuple(
        WeightedPredictor(
            Predictor(name, VersionId("angler", 1, 1), Role.CHAMPION, "d", "", ServingSpec()),
            weight,
        )
        for name, weight in weights.items()
    )
    wanted = Deployment(ID, "angler", namespace, weighted)
    return route.manifest(wanted, namespace, parent, Labels("tests"))


class Edge(http.server.BaseHTTPRequestHandler):
    """What stands at the gateway's address where that is not a gateway, or not ours."""

    answers: list[tuple[int, str]]
    asked: list[str]

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self.headers["Host"])
        status, mark = server.answers[0] if len(server.answers) == 1 else server.answers.pop(0)
        self.send_response(status)
        if mark:
            self.send_header(route.HEADER, mark)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def edge() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Edge)
    server.asked, server.answers = [], [(404, "")]
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_weights_are_live_when_the_answer_is_marked_with_them(edge: Any) -> None:
    wanted = routed(one=90, two=10)
    edge.answers = [(503, route.weights_header(wanted))]
    assert Gateway(edge.url).live(ID, wanted) == {"one": 90, "two": 10}
    assert len(edge.asked) == gateway.SAMPLES


def test_before_they_are_live_the_old_ones_are_told(edge: Any) -> None:
    edge.answers = [(200, route.weights_header(routed(one=100)))]
    assert Gateway(edge.url).live(ID, routed(one=90, two=10)) == {"one": 100}


def test_a_replica_of_the_gateway_that_lags_behind_counts(edge: Any) -> None:
    wanted = routed(one=90, two=10)
    edge.answers = [
        (200, route.weights_header(wanted)),
        (200, route.weights_header(routed(one=100))),
    ]
    assert Gateway(edge.url).live(ID, wanted) == {"one": 100}


def test_a_route_that_the_gateway_does_not_know_yet_serves_nothing(edge: Any) -> None:
    assert Gateway(edge.url).live(ID, routed(one=100)) == {}


def test_a_route_that_the_gateway_refuses_is_told_in_its_words(edge: Any) -> None:
    refused = routed(one=100)
    condition = {"status": "False", "reason": "NotAllowedByListeners", "message": "prod"}
    refused["status"] = {"parents": [{"conditions": [condition]}]}
    with pytest.raises(GatewayUnavailable, match="NotAllowedByListeners prod"):
        Gateway(edge.url).live(ID, refused)


def test_an_answer_without_a_mark_tells_no_weights(edge: Any) -> None:
    edge.answers = [(200, "")]
    with pytest.raises(GatewayUnavailable, match="not what it serves"):
        Gateway(edge.url).live(ID, routed(one=100))


def test_a_route_that_was_taken_away_counts_until_the_gateway_forgets_it(edge: Any) -> None:
    found = Gateway(edge.url)
    wanted = routed(one=100)
    edge.answers = [(200, route.weights_header(wanted))]
    assert found.live(ID, wanted) == {"one": 100}
    assert found.live(ID, None) == {"one": 100}
    edge.answers = [(404, "")]
    wait_for(lambda: found.live(ID, None) == {}, "the route to be gone", every=0.01)
    asked = len(edge.asked)
    assert found.live(ID, None) == {}
    assert len(edge.asked) == asked


def test_a_deployment_without_a_route_asks_nothing(edge: Any) -> None:
    assert Gateway(edge.url).live(ID, None) == {}
    assert edge.asked == []


def test_steady_weights_cost_no_request_while_the_gateway_answers_anybody(edge: Any) -> None:
    wanted = routed(one=100)
    edge.answers = [(200, route.weights_header(wanted))]
    found = Gateway(edge.url)
    for number in range(50):
        found.live(f"{ID}-{number}", wanted)
    first = len(edge.asked)
    for number in range(50):
        found.live(f"{ID}-{number}", wanted)
    assert len(edge.asked) - first < 10


def test_the_host_of_the_public_address_is_named_at_the_probed_one(edge: Any) -> None:
    wanted = routed(one=100)
    edge.answers = [(200, route.weights_header(wanted))]
    found = Gateway("https://models.example", probe_url=edge.url)
    assert found.live(ID, wanted) == {"one": 100}
    assert set(edge.asked) == {"models.example"}
    assert found.url("angler", "prod") == "https://models.example/prod/angler/"


def test_a_gateway_that_is_not_there_is_asked_once_for_all_deployments() -> None:
    found = Gateway(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(GatewayUnavailable, match="does not answer") as first:
        found.live("one", routed(one=100))
    with pytest.raises(GatewayUnavailable) as second:
        found.live("two", routed(two=100))
    assert first.value is second.value
    assert first.value.hint


def test_whether_it_answers_is_asked_once_a_second_and_of_no_pod(
    edge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = routed(one=100)
    edge.answers = [(503, route.weights_header(wanted))]
    found = Gateway(edge.url)
    assert found.answers(), "nothing is served yet that could be asked for"
    assert edge.asked == []
    found.live(ID, wanted)
    asked = len(edge.asked)
    assert all(found.answers() for _ in range(10))
    assert len(edge.asked) == asked
    monkeypatch.setattr(gateway, "STEADY_SECONDS", 0.0)
    assert found.answers()
    assert len(edge.asked) == asked + 1
    edge.shutdown()
    edge.server_close()
    assert not found.answers()
