"""The decide files over random registries, promotions, specs, observations, pauses and crashes."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.world import POLICY, World

from deployer.desired import promotions
from deployer.errors import TargetUnavailable
from deployer.state.predictor import ExampleState, Phase, Predictor
from deployer.state.record import Record

NUMBERS = st.integers(1, 5)
SPECS = st.sampled_from(
    [
        {},
        {"timeout_seconds": 5},
        {"rollout": {"steps": [10, 50, 100], "step_seconds": 5}},
        {"rollout": {"steps": [50, 100], "step_seconds": 30, "bake": 0}},
        {"rollout": {"steps": [50, 100], "bake": 20, "return_window": 0}},
    ]
)
GONE = (None, Phase.FAILED, Phase.ABSENT)


class Rollouts(RuleBasedStateMachine):
    """Rollouts one after the other, and what goes wrong where they happen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(overlay={"rollout": {"steps": [10, 50, 100], "step_seconds": 5}})
        self.proved: set[str] = set()
        for _ in range(3):
            self.world.registry.add()
        self.promotes(1)
        self._go_on(8)
        self.promotes(2)
        self._go_on(4)

    @rule(number=st.integers(1, 3))
    def promotes(self, number: int) -> None:
        """So that it is the last promotion, whatever it was before."""
        for stage in ("None", "Production"):
            self.world.registry.stage(number, stage)
            self.world.list_registry()
            self.advance()

    @rule(newest=st.booleans(), phase=st.sampled_from([Phase.FAILED, Phase.UNREADY]))
    def stops_answering(self, newest: bool, phase: Phase) -> None:
        """One of those that share the traffic, or that serves it all."""
        for predictor in _sharing(self.world.record)[-1 if newest else 0 :][:1]:
            self.world.collapse(predictor.version.number, phase)

    @rule(overlay=SPECS)
    def specifies(self, overlay: dict[str, object]) -> None:
        self.world.overlay = overlay

    @rule()
    def pauses(self) -> None:
        self.world.pause()

    @rule()
    def resumes(self) -> None:
        self.world.resume()

    @rule(lag=st.sampled_from([0, 2, 8, None]))
    def gateway_lags(self, lag: int | None) -> None:
        """From now on: what is asked for is live some looks later, or never."""
        self.world.lag = lag

    @rule(error=st.sampled_from(["", "The gateway's API does not answer."]))
    def gateway_is_seen(self, error: str) -> None:
        self.world.gateway_error = error

    @rule(blind=st.sampled_from(["raises", "nothing"]), passes=st.integers(1, 4))
    def observation_fails(self, blind: str, passes: int) -> None:
        self.world.blind = blind
        self._go_on(passes)
        self.world.blind = ""

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule()
    def reboot(self) -> None:
        self.world.running, self.world.live = {}, {}

    @rule(crash=st.sampled_from(["before saving", "before acting"]))
    def killed(self, crash: str) -> None:
        before = self.world.record
        self.world.pass_once(crash)
        self._check_step(before)  # decided and remembered, though nothing was done yet
        for predictor in _sharing(self.world.record):
            if predictor not in _sharing(before):
                self._prove(predictor.name)

    @rule()
    def advance(self) -> None:
        before = self.world.record
        try:
            self.world.pass_once()
        except TargetUnavailable:
            assert self.world.record is before
            return
        self._check_step(before)
        self._check_weights()

    @rule()
    def go_on(self) -> None:
        self._go_on(5)

    def _go_on(self, passes: int) -> None:
        for _ in range(passes):
            self.advance()
            self.world.tick()

    def _prove(self, name: str) -> None:
        if name in self.proved:
            return
        seen = self.world.running[name]
        assert seen.phase is Phase.READY, "traffic to a predictor that is not ready"
        assert seen.example is ExampleState.PASSED, "traffic to one that was not asked"
        self.proved.add(name)

    def _phase(self, predictor: Predictor | None) -> Phase | None:
        """What the last pass saw of a predictor; None if nothing."""
        assert self.world.seen
        seen = self.world.seen.predictors.get(predictor.name) if predictor else None
        return seen.phase if seen else None

    def _check_step(self, before: Record) -> None:
        """One share follows another once it is live, and a pause holds all but what breaks."""
        world, after = self.world, self.world.record
        was, now, seen = before.candidate, after.candidate, self.world.seen
        if before.pause and before.champion:
            broke = self._phase(before.champion) is Phase.FAILED
            helps = broke and after.champion == was.predictor if was else False
            assert helps or now == was or self._phase(was.predictor) not in (None, Phase.READY)
            assert after.champion == before.champion or broke
        if not was or self._phase(before.champion) in GONE:
            return
        steps = was.predictor.spec.rollout.steps
        if now and now.predictor == was.predictor:
            step = now.step
        elif after.champion == was.predictor:
            step = len(steps) - 1
        else:
            return
        if step < was.step:
            assert self._phase(was.predictor) is self._phase(before.champion) is Phase.STARTING
        elif step != was.step:
            window = was.predictor.spec.rollout.return_window
            returns = was.step < 0 and any(
                one.digest == was.predictor.digest and world.now - one.until < window
                for one in before.former
            )
            assert returns or step == was.step + 1, "a step was left out"
            if was.step >= 0:
                assert was.step_since is not None
                assert world.now - was.step_since >= was.predictor.spec.rollout.step_seconds
                assert not seen.gateway_error
                assert seen.predictors[was.predictor.name].live_weight == steps[was.step]

    def _check_weights(self) -> None:
        world, record, deployment = self.world, self.world.record, self.world.last
        assert deployment is not None
        shares = {weighted.predictor.name: weighted.weight for weighted in deployment.predictors}
        carrying = {name for name, share in shares.items() if share}
        assert carrying <= {predictor.name for predictor in _sharing(record)}
        assert sum(shares.values()) in (0, 100)
        for name in carrying - self.proved:
            self._prove(name)
        candidate = record.candidate.predictor if record.candidate else None
        if candidate and candidate.name in carrying:
            assert self._phase(candidate) in (None, Phase.READY), "it shares traffic and is broken"
        if self._phase(record.champion) is Phase.FAILED:
            drained = [self._phase(draining.predictor) for draining in record.draining]
            assert Phase.READY not in drained, "what broke has the traffic of one that works"
        assert not world.cut, "it was ended while the gateway sent it requests"
        if not carrying and record.retired_at == world.now:
            absence = record.absence
            assert absence is not None
            assert absence.listings >= POLICY.retire_listings
            assert world.now - absence.since >= POLICY.retire_after


class Story(Rollouts):
    """Everything that people, machines and bad luck can do to one deployment."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self.world = World()
        self.proved = set()

    def promotes(self, number: int) -> None:
        """People have more ways than this one here."""

    def _act(self, number: int) -> bool:
        return number in self.world.registry.stages

    @rule()
    def register(self) -> None:
        if len(self.world.registry.stages) < 5:
            self.world.registry.add()

    @rule(number=NUMBERS, stage=st.sampled_from(["Production", "Archived", "None", "Staging"]))
    def transition(self, number: int, stage: str) -> None:
        if self._act(number):
            self.world.registry.stage(number, stage)
            self.world.poll_registry()

    @rule(number=NUMBERS)
    def set_alias(self, number: int) -> None:
        if self._act(number):
            self.world.registry.aliases["champion"] = number
            self.world.poll_registry()

    @rule()
    def delete_alias(self) -> None:
        self.world.registry.aliases.pop("champion", None)
        self.world.poll_registry()

    @rule()
    def list_all(self) -> None:
        self.world.list_registry()

    @rule(lacking=st.frozensets(NUMBERS))
    def list_half(self, lacking: frozenset[int]) -> None:
        """One bad answer between two good ones."""
        self.world.list_registry(lacking)
        self.advance()
        self.world.list_registry()

    @rule(listings=st.integers(1, 4), number=NUMBERS, promote=st.booleans())
    def shows_nothing_for_a_while(self, listings: int, number: int, promote: bool) -> None:
        """Back as it was, it means the same; and what was promoted meanwhile is promoted last."""
        world = self.world
        world.list_registry()
        self._go_on(1)
        before = promotions.winner(world.record.promotions)
        for _ in range(listings):
            world.list_registry(frozenset(world.registry.stages))
            self._go_on(2)
        anew = promote and world.registry.stages.get(number) not in (None, "Production")
        if anew:
            world.registry.stage(number, "Production")
        world.list_registry()
        self._go_on(1)
        after = promotions.winner(world.record.promotions)
        if anew:
            assert after
            assert (after.version.number, after.via) == (number, "stage Production")
        else:
            assert after == before

    @rule(number=NUMBERS)
    def breaks(self, number: int) -> None:
        self.world.broken ^= {number}

    @rule(number=NUMBERS)
    def refuses(self, number: int) -> None:
        self.world.unanswering ^= {number}

    @rule(number=NUMBERS)
    def runs_out_of_memory(self, number: int) -> None:
        self.world.starving ^= {number}

    @invariant()
    def what_serves_is_never_taken_away_without_a_successor_or_evidence(self) -> None:
        record = self.world.record
        if self.proved and record.champion is None and record.candidate is None:
            assert record.retired_at is not None

    @precondition(lambda self: self.world.registry.stages)
    @rule(number=NUMBERS)
    def in_the_end_the_last_promotion_serves(self, number: int) -> None:
        if not self._act(number):
            return
        world = self.world
        world.broken, world.unanswering, world.starving = set(), set(), set()
        world.lag, world.gateway_error = 0, ""
        world.resume()
        world.registry.stage(number, "None")
        world.registry.aliases.pop("champion", None)
        world.list_registry()
        self._go_on(3)
        world.registry.stage(number, "Production")
        world.poll_registry()
        failed_before = set(world.record.failures)
        for _ in range(12):
            self._go_on(8)
            world.tick(700)
        if world.wanted.champion and world.wanted.champion.digest in failed_before:
            return  # it failed before, and nothing of it has changed
        assert world.serves == number
        assert [one.predictor.version.number for one in world.running.values()] == [number]


def _sharing(record: Record) -> list[Predictor]:
    """The predictors that a record gives a share of the traffic."""
    candidate = record.candidate
    found = [candidate.predictor] if candidate and candidate.step >= 0 else []
    return [record.champion, *found] if record.champion else found


Rollouts.TestCase.settings = settings(max_examples=50, stateful_step_count=25)
Story.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestRollouts = Rollouts.TestCase
TestInvariants = Story.TestCase
