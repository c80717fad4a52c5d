"""A rollout in several steps: each is live and kept before the next, and a failure undoes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st
from support.world import World

from deployer.spec.model import ServingSpec
from deployer.state.predictor import Phase

STEPS = st.sets(st.integers(1, 99), max_size=3).map(lambda shares: [*sorted(shares), 100])
LAGS = st.integers(0, 4)
CRASHES = st.dictionaries(
    st.integers(0, 40), st.sampled_from(["before saving", "before acting"]), max_size=8
)


def promoted(steps: list[int], kept: int = 0, lag: int | None = 0) -> World:
    """Version 1 serves, and version 2 was promoted just now; no version bakes."""
    world = World(overlay={"rollout": {"steps": steps, "step_seconds": kept, "bake": 0}})
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle(8)
    assert world.serves == 1
    world.lag = lag
    promote(world)
    return world


def promote(world: World) -> None:
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()


def share(world: World, number: int) -> int:
    """Percent of the requests that a version answers."""
    return sum(world.live[name] for name in names(world, number) if name in world.live)


FIRST_FIELDS = ("steps", "step_seconds", "ready_timeout", "drain", "example")
"""The fields of `rollout` in the first release."""


def names(world: World, number: int) -> list[str]:
    return [n for n, one in world.running.items() if one.predictor.version.number == number]


def asked(world: World) -> dict[int, int]:
    """Percent of the requests that the last pass asked for each version."""
    assert world.last
    return {s.predictor.version.number: s.weight for s in world.last.predictors if s.weight}


def reach(world: World, percent: int) -> None:
    """Let the rollout go on until version 2 answers so much, and that has been seen."""
    for _ in range(100):
        if share(world, 2) == percent:
            world.pass_once()
            return
        world.pass_once()
        world.tick()
    raise AssertionError(f"{percent} % never came")


@settings(max_examples=30)
@given(STEPS, st.sampled_from([0, 3]), LAGS, CRASHES)
def test_each_share_is_live_and_kept_before_the_next_one_killed_or_not(steps, kept, lag, crashes):
    world = promoted(steps, kept, lag)
    shares: list[tuple[int, float]] = [(0, world.now)]
    for number in range(150):
        world.pass_once(crashes.get(number, ""))
        last = asked(world)
        live = share(world, 2)
        assert last.get(2, 0) in (live, *steps[steps.index(live) + 1 if live else 0 :][:1]), (
            "a share was asked for before the one before it was live"
        )
        world.tick()
        assert sum(world.live.values()) == 100
        if share(world, 2) != shares[-1][0]:
            shares.append((share(world, 2), world.now))
        if len(world.running) == 1 and world.serves == 2:
            break
    assert [percent for percent, _ in shares] == [0, *steps]
    times = [at for _, at in shares[1:]]
    assert all(after - before >= kept for before, after in pairwise(times))
    assert names(world, 1) == []
    assert not world.cut


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.UNREADY])
@pytest.mark.parametrize("percent", [10, 50])
def test_a_version_that_breaks_at_any_step_gives_back_all_it_had(percent, phase, paused):
    world = promoted([10, 50, 100], kept=60)
    if percent == 50:
        reach(world, 10)
        world.tick(60)
        world.pass_once()
    reach(world, percent)
    if paused:
        world.pause()
    world.collapse(2, phase)
    world.lag = 3
    world.pass_once()
    assert asked(world) == {1: 100}
    while share(world, 2):
        assert names(world, 2), "it was ended while the gateway sent it requests"
        world.tick()
        world.pass_once()
    world.resume()
    world.settle(20)
    assert world.serves == 1
    assert names(world, 2) == []
    [failure] = world.record.failures.values()
    assert failure.retry_at is None, "it cost requests: it waits for a person"
    assert not world.cut


@pytest.mark.parametrize("paused", [False, True])
def test_a_reboot_during_a_step_is_no_fault_of_the_version_and_its_steps_begin_anew(paused):
    world = promoted([10, 100], kept=5)
    reach(world, 10)
    if paused:
        world.pause()
    world.running, world.live = {}, {}
    for _ in range(2):
        world.pass_once()
        world.tick(0.5)  # both load
    assert asked(world) == {1: 100}
    if paused:
        world.settle(20)
        assert world.serves == 1
        world.resume()
    reach(world, 10)
    world.settle(30)
    assert world.serves == 2
    assert not world.record.failures


def test_a_version_takes_all_at_once_where_the_old_one_breaks_during_a_step():
    world = promoted([10, 100], kept=3600)
    reach(world, 10)
    world.collapse(1)
    world.pass_once()
    assert asked(world) == {2: 100}


def test_a_gateway_that_shows_no_share_of_what_broke_does_not_hold_up_the_way_out():
    world = promoted([10, 100], kept=3600, lag=None)
    for _ in range(6):
        world.pass_once()
        world.tick()
    assert asked(world) == {1: 90, 2: 10}
    world.collapse(1)
    world.pass_once()
    assert asked(world) == {2: 100}


def test_another_promotion_during_a_step_gives_the_share_back_and_begins_at_the_first_step():
    world = promoted([25, 50, 100], kept=5)
    reach(world, 25)
    promote(world)
    world.pass_once()
    assert asked(world) == {1: 100}
    seen = []
    for _ in range(60):
        world.tick()
        world.pass_once()
        assert sum(world.live.values()) == 100
        if not seen or seen[-1] != world.live:
            seen.append(dict(world.live))
    shares = [sorted(live.values()) for live in seen]
    assert shares == [[100], [25, 75], [50, 50], [100]]
    assert world.serves == 3
    assert not world.cut


def again(world: World, number: int) -> None:
    """Promote a version that was promoted before."""
    for stage in ("None", "Production"):
        world.registry.stage(number, stage)
        world.list_registry()
        world.pass_once()


@pytest.mark.parametrize("reboots", [False, True])
def test_a_version_that_is_given_up_twice_answers_what_the_gateway_still_sends_it(reboots):
    world = promoted([25, 100], kept=5)
    reach(world, 25)
    if reboots:
        world.running, world.live = {}, {}
        world.settle(4)
    world.lag = 6
    for number in (1, 2, 1):
        again(world, number)
    assert world.record.candidate is None
    for _ in range(20):
        world.tick()
        world.pass_once()
        assert not world.cut
    assert world.serves == 1
    assert not names(world, 2)


def test_what_drains_serves_again_at_once_if_what_took_over_breaks_while_it_is_taken_up():
    world = promoted([100])
    while world.serves != 2:
        world.pass_once()
        world.tick()
    world.collapse(1, Phase.UNREADY)
    again(world, 1)
    assert world.record.candidate
    world.collapse(2)
    world.tick()
    world.pass_once()
    assert asked(world) == {1: 100}
    assert world.record.candidate is None


def test_another_spec_while_the_old_version_is_broken_leaves_what_answers_with_the_traffic():
    world = promoted([25, 100], kept=5)
    reach(world, 25)
    world.collapse(1)
    world.overlay = {**world.overlay, "timeout_seconds": 5}
    world.pass_once()
    assert asked(world) == {2: 100}
    world.settle(40)
    assert world.serves == 2
    assert not world.cut


def test_another_spec_during_a_step_is_another_predictor_that_begins_at_the_first_step():
    world = promoted([25, 100], kept=5)
    reach(world, 25)
    [before] = names(world, 2)
    world.overlay = {**world.overlay, "timeout_seconds": 5}
    world.pass_once()
    assert asked(world) == {1: 100}
    assert world.record.candidate
    assert world.record.candidate.predictor.name != before
    world.settle(40)
    assert world.serves == 2
    assert before not in world.running
    assert not world.cut


def test_a_gateway_that_never_serves_a_share_keeps_the_old_one_and_is_waited_for():
    world = promoted([50, 100], lag=None)
    for _ in range(300):
        step = world.pass_once()
        world.tick(60)
    assert step.waiting == "the gateway to shift traffic"
    assert not step.settled
    assert world.serves == 1
    world.lag = 0
    world.settle(20)
    assert world.serves == 2
    assert not world.cut


def test_while_nobody_sees_the_gateway_no_share_is_taken_for_live():
    world = promoted([50, 100])
    reach(world, 50)
    world.gateway_error = "The gateway's API does not answer."
    world.settle(20)
    assert asked(world) == {1: 50, 2: 50}
    world.gateway_error = ""
    world.settle(20)
    assert world.serves == 2


def test_a_pause_holds_a_step_and_the_next_one_comes_after_it():
    world = promoted([10, 50, 100], kept=2)
    reach(world, 10)
    world.pause()
    for _ in range(30):
        world.pass_once()
        assert asked(world) == {1: 90, 2: 10}
        world.tick(60)
    world.resume()
    world.pass_once()
    assert asked(world) == {1: 50, 2: 50}
    world.settle(20)
    assert world.serves == 2


def test_an_observation_that_shows_nothing_ends_nothing_that_still_answers():
    """The gateway lags: it sends requests to the old one until long after the last step."""
    world = promoted([100])
    world.lag = None
    while not world.record.draining:
        world.pass_once()
        world.tick()
    world.blind = "nothing"
    world.settle(10)
    assert world.serves == 1
    world.blind, world.lag = "", 0
    world.settle(20)
    assert world.serves == 2
    assert names(world, 1) == []
    assert not world.cut


def test_a_champion_that_breaks_gives_way_to_the_old_one_though_a_third_is_on_its_way():
    world = promoted([100])
    while not world.record.draining:
        world.pass_once()
        world.tick()
    world.broken.add(3)
    promote(world)
    world.pass_once()
    world.tick()
    assert world.record.candidate
    world.collapse(2)
    world.pass_once()
    assert asked(world) == {1: 100}
    world.settle(30)
    assert world.serves == 1
    assert not world.cut


def test_a_champion_that_breaks_while_the_old_one_drains_gives_way_to_it_though_it_is_paused():
    world = promoted([100])
    while not world.record.draining:
        world.pass_once()
        world.tick()
    world.pause()
    world.collapse(2)
    world.pass_once()
    assert asked(world) == {1: 100}


def test_what_is_paused_before_its_first_share_takes_none_and_what_is_promoted_then_waits():
    world = promoted([50, 100])
    world.pass_once()
    world.pause()
    promote(world)
    for _ in range(20):
        world.pass_once()
        assert asked(world) == {1: 100}
        world.tick()
    assert names(world, 3) == []
    world.resume()
    world.settle(40)
    assert world.serves == 3


def test_a_rollout_that_an_earlier_release_began_goes_on():
    world = promoted([10, 100])
    world.pass_once()
    candidate = world.record.candidate
    assert candidate
    old = {name: getattr(candidate.predictor.spec.rollout, name) for name in FIRST_FIELDS}
    spec = ServingSpec.model_validate({"rollout": old})
    predictor = replace(candidate.predictor, spec=spec)
    world.record = replace(world.record, candidate=replace(candidate, predictor=predictor))
    world.settle(20)
    assert world.serves == 2
