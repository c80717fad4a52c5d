"""A deployment's route: its file, where it is ours; and when Traefik is asked what is live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deployer.errors import GatewayUnavailable, TargetUnavailable
from deployer.targets.local.gateway import (
    AWAY_SECONDS,
    FRESH_SECONDS,
    SETTLES_SECONDS,
    STEADY_SECONDS,
    Gateway,
)

PLACE = ("angler-prod", "angler", "prod")
SHARES = {"angler-prod-v1-1a2b3c4d": ([20001], 100)}
OTHERS = {
    "another route": "http: {routers: {mine: {rule: PathPrefix(`/x`), service: mine}}}\n",
    "ours and more": "http: {routers: {angler-prod: 1, b: 1}, middlewares: {angler-prod: 1}}\n",
    "no route": "tls: {}\n",
    "nothing": "",
    "not readable": "http: [",
    "no text": "\udcff",
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1")
    yield made
    made.close()


def test_it_is_written_on_change_alone_and_removed(gateway, tmp_path):
    file = tmp_path / "angler-prod.yaml"
    assert gateway.route(*PLACE, SHARES)
    assert not gateway.route(*PLACE, SHARES)
    file.write_text(file.read_text().replace("20001", "1"))
    assert gateway.route(*PLACE, SHARES)
    assert "20001" in file.read_text()
    file.unlink()
    assert gateway.route(*PLACE, SHARES)
    assert gateway.route(*PLACE, {})
    assert not file.exists()
    assert not gateway.route(*PLACE, {})
    for _ in range(2):
        assert gateway.route(*PLACE, SHARES)
        file.unlink()


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_somebody_elses_file_of_its_name_is_left_alone_and_told(gateway, tmp_path, text):
    file = tmp_path / "angler-prod.yaml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(TargetUnavailable, match="foreign file") as told:
        gateway.route(*PLACE, SHARES)
    assert not told.value.transient
    assert not gateway.route(*PLACE, {})
    assert file.read_text(errors="surrogateescape") == text
    command, source, goal = told.value.hint.rpartition(": ")[2].split()
    assert (command, source) == ("mv", str(file))
    Path(source).rename(goal)
    assert gateway.route(*PLACE, SHARES)


class Traefik:
    """One that serves these weights, is asked so often, and hangs up if it is told to."""

    def __init__(self, folder: Path) -> None:
        self.now, self.asked, self.away = 100.0, 0, False
        self.weights: dict[str, dict[str, int]] = {}
        self.gateway = Gateway(folder, "http://g", "http://g", timer=lambda: self.now)
        transport = httpx.MockTransport(self._answer)
        self.gateway._client = httpx.Client(base_url="http://g", transport=transport)

    def route(self, deployment: str, weight: int) -> None:
        self.gateway.route(deployment, deployment, "prod", {f"{deployment}-v1": ([1], weight)})

    def serve(self, deployment: str, weight: int) -> None:
        self.weights[deployment] = {f"{deployment}-v1": weight}

    def live(self, deployment: str) -> int | None:
        return self.gateway.live(deployment).get(f"{deployment}-v1")

    def _answer(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("refused")
        services = [
            {
                "name": f"{deployment}@file",
                "weighted": {"services": [{"name": n, "weight": w} for n, w in weights.items()]},
            }
            for deployment, weights in self.weights.items()
        ]
        return httpx.Response(200, json=services)


@pytest.fixture
def traefik(tmp_path: Path) -> Iterator[Traefik]:
    made = Traefik(tmp_path)
    for name in ("a", "b"):
        made.route(name, 100)
        made.serve(name, 100)
    made.now += 0.001
    made.live("a")
    yield made
    made.gateway.close()


def test_one_answer_now_and_then_serves_all_whose_weights_are_live(traefik):
    began = traefik.now
    for step in range(100):
        traefik.now = began + step / 10
        assert (traefik.live("a"), traefik.live("b")) == (100, 100)
        traefik.gateway.look()
    assert traefik.asked <= 1 + 10 / STEADY_SECONDS


def test_a_weight_that_is_not_live_yet_is_asked_for_until_it_is(traefik):
    traefik.now += 0.01
    traefik.route("a", 90)
    for _ in range(3):
        traefik.now += 2 * FRESH_SECONDS
        assert traefik.live("a") == 100
        assert traefik.live("b") == 100
    assert traefik.asked == 4
    traefik.serve("a", 90)
    traefik.now += 2 * FRESH_SECONDS
    assert traefik.live("a") == 90


def test_an_answer_from_before_the_route_was_written_proves_nothing(traefik):
    """There and back again: what was live is wanted again, and not live any more."""
    traefik.now += 0.01
    traefik.route("a", 90)
    traefik.serve("a", 90)
    traefik.now += 0.01
    traefik.route("a", 100)
    traefik.now += 2 * FRESH_SECONDS
    assert traefik.live("a") == 90


def test_one_that_is_away_is_asked_once_for_all_and_again_soon(traefik):
    traefik.away = True
    traefik.now += STEADY_SECONDS + 0.1
    for name in ("a", "b"):
        with pytest.raises(GatewayUnavailable, match="does not answer"):
            traefik.live(name)
    assert traefik.asked == 2
    traefik.away = False
    traefik.now += AWAY_SECONDS + 0.1
    assert traefik.live("a") == 100


def test_what_was_live_and_is_wanted_again_counts_once_traefik_has_settled(traefik):
    """It may have taken up neither write: then it still drops the route before it is back."""
    traefik.now += 0.01
    traefik.gateway.route("a", "a", "prod", {})
    traefik.now += 0.01
    traefik.route("a", 100)
    for _ in range(3):
        traefik.now += 2 * FRESH_SECONDS
        assert traefik.live("a") is None
        assert traefik.live("b") == 100
    traefik.now += SETTLES_SECONDS
    assert traefik.live("a") == 100
    traefik.now += 2 * FRESH_SECONDS
    asked = traefik.asked
    assert traefik.live("a") == 100
    assert traefik.asked == asked
