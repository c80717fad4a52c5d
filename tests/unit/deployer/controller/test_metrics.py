"""What Prometheus is told of rollouts."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import generate_latest
from support.world import World

from deployer.controller.metrics import Metrics, QueueDepths
from deployer.state.evidence import MetricVerdict, Outcome, Verdict
from deployer.state.reasons import Reason
from deployer.state.record import Failure
from deployer.status import verdict
from deployer.status.verdict import Status, Sync


def status(world: World, said: Verdict | None = None) -> Status:
    assert world.last
    observed = replace(world.observed(), verdict=said)
    found = verdict.judge(world.record, world.wanted, observed, "")
    return Status(
        found,
        Sync.IN_SYNC,
        world.record,
        world.wanted,
        observed,
        "",
        "local",
        0.0,
        True,
        world.todo,
    )


def rolling() -> World:
    """Version 2 has a tenth of the traffic."""
    world = World(overlay={"rollout": {"steps": [10, 100], "step_seconds": 60}})
    for number in (1, 2):
        world.registry.stage(world.registry.add(), "Production")
        world.list_registry()
        world.settle(8 * number)
    assert world.record.candidate
    assert world.record.candidate.step == 0
    return world


def told(metrics: Metrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    found = (line.rpartition(" ") for line in lines if "rollout_" in line or "rollbacks" in line)
    return {
        name: float(value) for name, _, value in found if not ("#" in name or "_created" in name)
    }


def test_a_rollout_under_way_has_its_share_and_its_evidence() -> None:
    world, metrics = rolling(), Metrics()
    assert world.record.candidate
    errors = MetricVerdict("errors", Outcome.PASS, "", 0.02, 0.01)
    slow = MetricVerdict("latency.p99", Outcome.PASS, "", None, 0.5)
    digest = world.record.candidate.predictor.digest
    said = Verdict(digest, "d", "p", 0, 0.0, 0.0, Outcome.PASS, (errors, slow))
    metrics.follow(lambda: [status(world, said)])
    found = {name: value for name, value in told(metrics).items() if "rollout_" in name}
    assert sorted(found.values()) == [0.01, 0.02, 0.5, 1, 10]
    (share,) = [name for name, value in found.items() if value == 10]
    for label in ('model="angler"', 'environment="prod"', 'version="2"'):
        assert label in share
    (candidate,) = [name for name, value in found.items() if value == 0.02]
    assert 'arm="candidate"' in candidate
    assert 'metric="errors"' in candidate


def _rollbacks(rolled_back: float, aborted: float) -> dict[str, float]:
    return {
        'schnitzel_rollbacks_total{reason="RolledBack"}': rolled_back,
        'schnitzel_rollbacks_total{reason="Aborted"}': aborted,
    }


def test_a_rollback_is_counted_once_and_not_again_after_a_restart() -> None:
    world, metrics = rolling(), Metrics()
    before = status(world)
    failure = Failure(Reason.ROLLED_BACK, "errors", "", 1.0)
    world.record = replace(world.record, failures={"d": failure})
    after = status(world)
    metrics.note(None, after)
    assert told(metrics) == _rollbacks(0, 0)
    metrics.note(before, after)
    metrics.note(after, after)
    assert told(metrics) == _rollbacks(1, 0)


def test_the_depths_of_queues_are_told_and_what_nobody_knows_is_not() -> None:
    metrics = Metrics()
    metrics.follow_queues(
        lambda: [QueueDepths("one", "prod", 7, 0), QueueDepths("two", "prod", None, None)]
    )
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if "waiting{" in line] == [
        'schnitzel_messages_waiting{environment="prod",model="one"} 7.0',
        'schnitzel_dead_letters_waiting{environment="prod",model="one"} 0.0',
    ]
