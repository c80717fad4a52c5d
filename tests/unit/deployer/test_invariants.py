"""The decide files over random registries, promotions, observations and crashes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.world import POLICY, World

from deployer import desired
from deployer.state import ExampleState, Phase

NUMBERS = st.integers(1, 5)


class Story(RuleBasedStateMachine):
    """Everything that people, machines and bad luck can do to one deployment."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.proved: set[str] = set()
        self.absent_since: float | None = None
        self.absent_listings = 0

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
        before = desired.winner(world.record.marks)
        for _ in range(listings):
            world.list_registry(frozenset(world.registry.stages))
            self._go_on(2)
        anew = promote and world.registry.stages.get(number) not in (None, "Production")
        if anew:
            world.registry.stage(number, "Production")
        world.list_registry()
        self._go_on(1)
        after = desired.winner(world.record.marks)
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

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule()
    def reboot(self) -> None:
        self.world.running, self.world.live = {}, {}

    @rule(crash=st.sampled_from(["before saving", "before acting"]))
    def killed(self, crash: str) -> None:
        before = self.world.record.serving
        self.world.pass_once(crash)
        after = self.world.record.serving
        if after and after != before:  # decided and remembered, though nothing was done yet
            self._prove(after.name)

    @rule()
    def advance(self) -> None:
        self.world.pass_once()
        self._check_weights()

    @rule()
    def go_on(self) -> None:
        self._go_on(5)

    def _go_on(self, passes: int) -> None:
        for _ in range(passes):
            self.world.pass_once()
            self._check_weights()
            self.world.tick()

    def _prove(self, name: str) -> None:
        if name in self.proved:
            return
        seen = self.world.running[name]
        assert seen.phase is Phase.READY, "traffic to a predictor that is not ready"
        assert seen.example is ExampleState.PASSED, "traffic to one that was not asked"
        self.proved.add(name)

    def _check_weights(self) -> None:
        deployment = self.world.last
        assert deployment is not None
        shares = {slot.predictor.name: slot.weight for slot in deployment.slots}
        carrying = {name for name, share in shares.items() if share}
        assert len(carrying) <= 1, "two champions"
        assert sum(shares.values()) in (0, 100)
        for name in carrying - self.proved:
            self._prove(name)
        if not carrying and self.world.record.retired_at is not None:
            absence = self.world.record.absence
            if self.world.record.retired_at == self.world.now:
                assert absence is not None
                assert absence.listings >= POLICY.retire_listings
                assert self.world.now - absence.since >= POLICY.retire_after

    @invariant()
    def what_serves_is_never_taken_away_without_a_successor_or_evidence(self) -> None:
        record = self.world.record
        if self.proved and record.serving is None and record.candidate is None:
            assert record.retired_at is not None

    @precondition(lambda self: self.world.registry.stages)
    @rule(number=NUMBERS)
    def in_the_end_the_last_promotion_serves(self, number: int) -> None:
        if not self._act(number):
            return
        world = self.world
        world.broken, world.unanswering, world.starving = set(), set(), set()
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


Story.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestInvariants = Story.TestCase
