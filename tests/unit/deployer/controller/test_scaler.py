"""From the depth of a queue to a number of replicas, and to a pass over the deployment."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.world import World

from deployer.brokers.contract import Depth
from deployer.controller.scaler import Scaler
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase

SCALING = {"min": 0, "max": 8, "messages": 100}


class Queue:
    """A queue, the servers that hold some of its messages, and the passes that were asked for."""

    def __init__(self, *weights: int, scaling: dict[str, Any] | None = None) -> None:
        self.now, self.ready, self.held = 1000.0, 0, 0
        self.known = True
        self.passes: list[str] = []
        watch: Any = SimpleNamespace(latest=self._latest, predictors=self._servers)
        self.scaler = Scaler(watch, self.passes.append, lambda: self.now)
        world = World()
        world.registry.stage(world.registry.add(), "Production")
        world.list_registry()
        world.settle()
        assert world.record.champion
        spec = ServingSpec.model_validate({"runtime": "queue", "autoscaling": scaling or SCALING})
        own = [
            replace(world.record.champion, name=f"p{number}", spec=spec)
            for number in range(len(weights))
        ]
        weighted = tuple(WeightedPredictor(p, w) for p, w in zip(own, weights, strict=True))
        self.deployment = Deployment("angler-prod", "angler", "prod", weighted)
        self.replicas = {one.name: 1 for one in own}

    def look(self, seconds: float = 2.0) -> None:
        self.now += seconds
        self.scaler.look()

    def run(self) -> dict[str, int]:
        """What a pass does: it takes the numbers, and the target follows."""
        seen = self.seen()
        numbers = dict(self.scaler.numbers(self.deployment, seen))
        self.scaler.follow(self.deployment, seen)
        self.replicas |= numbers
        return numbers

    def seen(self) -> Observed:
        observed = {
            w.predictor.name: ObservedPredictor(
                w.predictor, Phase.READY, 0.0, replicas=self.replicas[w.predictor.name]
            )
            for w in self.deployment.predictors
        }
        return Observed(observed, self.now)

    def _latest(self, broker: str, queue: str) -> Depth | None:
        assert (broker, queue) == ("default", "angler.prod")
        return Depth(self.ready, 1) if self.known else None

    def _servers(self, deployment: str) -> Any:
        assert deployment == "angler-prod"
        server = SimpleNamespace(in_flight=self.held)
        return [SimpleNamespace(predictor=SimpleNamespace(name="p0"), servers=[server])]


def test_a_burst_asks_for_passes_until_the_replicas_are_there():
    queue = Queue(100)
    assert queue.run() == {"p0": 1}
    queue.ready = 450
    found = []
    for _ in range(4):
        queue.look()
        found.append(queue.run()["p0"])
    assert found == [2, 4, 5, 5]
    asked = len(queue.passes)
    assert set(queue.passes) == {"angler-prod"}
    for _ in range(3):
        queue.look()
    assert len(queue.passes) == asked, "none is asked for once they are there"


def test_what_servers_hold_counts_as_well():
    queue = Queue(100)
    queue.run()
    queue.ready, queue.held = 50, 60
    queue.look()
    assert queue.run() == {"p0": 2}


def test_an_empty_queue_loses_its_last_replica_after_a_while():
    queue = Queue(100)
    queue.run()
    for _ in range(29):
        queue.look()
    assert queue.run() == {"p0": 1}
    for _ in range(5):
        queue.look()
    assert queue.run() == {"p0": 0}
    queue.ready = 1
    queue.look()
    assert queue.run() == {"p0": 1}


def test_nothing_changes_while_nobody_knows_the_depth():
    queue = Queue(100)
    queue.run()
    queue.known = False
    for _ in range(100):
        queue.look()
    assert queue.run() == {"p0": 1}
    assert not queue.passes


def test_two_versions_are_scaled_by_their_shares_and_neither_to_none():
    queue = Queue(75, 25, 0)
    assert queue.run() == {"p0": 1, "p1": 1}, "what has no share is left as it is"
    queue.ready = 800
    for _ in range(6):
        queue.look()
        numbers = queue.run()
    assert numbers == {"p0": 6, "p1": 2}
    queue.ready = 0
    for _ in range(200):
        queue.look()
        numbers = queue.run()
    assert numbers == {"p0": 1, "p1": 1}


@pytest.mark.parametrize("scaling", [{"min": 1, "max": 3}])
def test_a_predictor_that_is_not_scaled_by_messages_is_left_alone(scaling):
    queue = Queue(100, scaling=scaling)
    assert queue.run() == {}
    queue.ready = 10_000
    queue.look()
    assert not queue.passes


def test_a_preview_makes_nothing_scale():
    queue = Queue(100)
    assert queue.scaler.numbers(queue.deployment, queue.seen()) == {"p0": 1}
    queue.ready = 10_000
    queue.look()
    assert not queue.passes
