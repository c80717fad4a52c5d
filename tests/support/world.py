"""A world for the decide files: a registry, processes and a gateway as plain values.

No system is imitated here; it only moves observed values along, as any target would, so that
properties of pure functions can be checked over long stories.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from deployer.desired import promotions
from deployer.desired.wanted import draft, want
from deployer.errors import TargetUnavailable
from deployer.plan import plan
from deployer.rollout import advance
from deployer.spec.resolve import Limits
from deployer.state.deployment import Deployment, Policy, Wanted
from deployer.state.evidence import Verdict
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase, Predictor
from deployer.state.record import Description, Pause, Record
from deployer.state.registry import (
    ModelVersion,
    RegisteredModel,
    RegistrySnapshot,
    Selector,
    VersionId,
)

MODEL, ENVIRONMENT = "angler", "prod"
SELECTOR = Selector("Production", "champion")
POLICY = Policy(retire_after=600, retire_listings=2, retry_first=10, retry_most=600)


@dataclass
class Registry:
    """What MLflow holds, and what of it was last listed."""

    stages: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    clock: int = 1_000
    updated: dict[int, int] = field(default_factory=dict)

    def add(self) -> int:
        number = max(self.stages, default=0) + 1
        self.stages[number] = "None"
        self.touch(number)
        return number

    def stage(self, number: int, stage: str) -> None:
        self.stages[number] = stage
        self.touch(number)

    def touch(self, number: int) -> None:
        self.clock += 1
        self.updated[number] = self.clock

    def snapshot(
        self, listed_at: float, lacking: frozenset[int] = frozenset(), *, asked: bool = True
    ) -> RegistrySnapshot:
        """What it shows; `asked` by name, it shows the same."""
        rows = tuple(
            ModelVersion(
                VersionId(MODEL, number, 100 + number, f"m-{number}"),
                stage,
                frozenset(a for a, n in self.aliases.items() if n == number),
                "models:/m",
                "run",
                self.updated[number],
            )
            for number, stage in sorted(self.stages.items())
            if number not in lacking
        )
        models = {MODEL: RegisteredModel(MODEL, rows)} if rows else {}
        return RegistrySnapshot(models, listed_at, frozenset({MODEL} if asked else ()))


@dataclass
class World:
    """One deployment, from registry to gateway, with a record that survives crashes.

    Attributes:
        overlay: What the environment adds to the serving spec; by default, that nothing bakes.
        lag: Looks at the gateway before it serves what was asked for; None: it never does.
        gateway_error: Why nobody can see what the gateway serves.
        blind: Whether an observation "raises" or shows "nothing".
        judged: Returns the verdict on what a record has on trial.
        seen: What the last pass observed.
        cut: Predictors that were ended while they answered requests.
    """

    registry: Registry = field(default_factory=Registry)
    record: Record = field(default_factory=lambda: Record("angler-prod", MODEL, ENVIRONMENT))
    running: dict[str, ObservedPredictor] = field(default_factory=dict)
    route: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    snapshot: RegistrySnapshot | None = None
    now: float = 1_000_000.0
    broken: set[int] = field(default_factory=set)
    unanswering: set[int] = field(default_factory=set)
    starving: set[int] = field(default_factory=set)
    serving_file: dict[str, object] | None = None
    overlay: dict[str, object] = field(default_factory=lambda: {"rollout": {"bake": 0}})
    lag: int | None = 0
    gateway_error: str = ""
    blind: str = ""
    judged: Callable[[Record], Verdict | None] = lambda _: None
    seen: Observed | None = None
    cut: list[str] = field(default_factory=list)
    _late: int = 0
    wanted: Wanted = field(default_factory=lambda: Wanted(None))
    last: Deployment | None = None

    def list_registry(self, lacking: frozenset[int] = frozenset(), *, asked: bool = True) -> None:
        self.snapshot = self.registry.snapshot(self.now, lacking, asked=asked)

    def poll_registry(self) -> None:
        """What the watermark shows: stages as they are, no fresh listing."""
        if self.snapshot:
            self.snapshot = self.registry.snapshot(self.snapshot.listed_at)

    def pause(self) -> None:
        self.record = replace(self.record, pause=Pause("ada", self.now, "the launch"))

    def resume(self) -> None:
        self.record = replace(self.record, pause=None)

    def collapse(self, number: int, phase: Phase = Phase.FAILED) -> None:
        """What runs of a version stops answering."""
        for name, one in self.running.items():
            if one.predictor.version.number == number:
                self.running[name] = replace(one, phase=phase, since=self.now, reason="CrashLoop")

    def observed(self) -> Observed:
        if self.blind == "raises":
            raise TargetUnavailable("Nobody can see what runs.")
        if self.blind:
            return Observed({}, self.now)
        live = {} if self.gateway_error else self.live
        seen = {
            name: replace(one, live_weight=live.get(name, 0)) for name, one in self.running.items()
        }
        return Observed(seen, self.now, self.gateway_error, verdict=self.judged(self.record))

    def pass_once(self, crash: str = "") -> advance.Step:
        """Decide and act. `crash` stops it before the record is saved, or before it acts.

        Raises:
            TargetUnavailable: What runs cannot be seen; nothing is remembered or done.
        """
        observed, record = self.observed(), self.record
        self.seen = observed
        if self.snapshot:
            live = max(observed.predictors.values(), key=lambda p: p.live_weight, default=None)
            serving = live.predictor.version if live and live.live_weight else None
            record = promotions.update(record, self.snapshot, SELECTOR, self.now, serving)
        promotion = promotions.winner(record.promotions)
        if promotion and promotion.version.key not in record.descriptions:
            described = {promotion.version.key: Description("source", self.serving_file)}
            record = replace(record, descriptions={**record.descriptions, **described})
        layers = [("defaults", {}), ("overlay", self.overlay)]
        self.wanted = want(draft(record, layers, Limits(), POLICY, self.now), record)
        step = advance.advance(self.wanted, observed, record, POLICY, self.now)
        goal = plan.goal(step.champion, observed, step.deployment, step.record)
        self.todo = plan.make(observed, goal)
        if crash == "before saving":
            return step
        self.record = step.record
        if crash == "before acting":
            return step
        self._act(step.deployment)
        return step

    def _act(self, deployment: Deployment) -> None:
        self.last = deployment
        kept = {weighted.predictor.name for weighted in deployment.predictors}
        for weighted in deployment.predictors:
            name = weighted.predictor.name
            if name not in self.running or name in deployment.restart:
                self.running[name] = ObservedPredictor(weighted.predictor, Phase.STARTING, self.now)
        for name in deployment.ask:
            self.running[name] = replace(self.running[name], example=ExampleState.ASKED)
        self.route = {
            weighted.predictor.name: weighted.weight
            for weighted in deployment.predictors
            if weighted.weight
        }
        for name in set(self.running) - kept:
            if self.live.get(name) and self.running[name].phase is Phase.READY:
                self.cut.append(name)
            del self.running[name]

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass: servers load, examples are answered, the gateway catches up."""
        self.now += seconds
        for name, one in list(self.running.items()):
            number = one.predictor.version.number
            if one.phase is Phase.STARTING and self.now - one.since >= 1:
                starves = number in self.starving
                fate = Phase.FAILED if starves or number in self.broken else Phase.READY
                self.running[name] = replace(
                    one,
                    phase=fate,
                    since=self.now,
                    reason="OutOfMemory" if starves else "LoadError",
                    message="it broke",
                    transient=starves,
                )
            elif one.example is ExampleState.ASKED:
                refuses = number in self.unanswering
                answer = ExampleState.REFUSED if refuses else ExampleState.PASSED
                self.running[name] = replace(one, example=answer)
            elif one.phase is Phase.UNREADY:
                self.running[name] = replace(one, phase=Phase.READY, since=self.now, reason="")
        self._late += 1
        served = self.live
        if self.lag is not None and self._late > self.lag:
            served, self._late = self.route, 0
        self.live = {name: share for name, share in served.items() if name in self.running}

    def settle(self, passes: int = 60) -> None:
        for _ in range(passes):
            with suppress(TargetUnavailable):
                self.pass_once()
            self.tick()

    @property
    def serves(self) -> int | None:
        """The version that takes all the traffic."""
        names = [name for name, share in self.live.items() if share == 100]
        return self.running[names[0]].predictor.version.number if names else None


def version_of(predictor: Predictor | None) -> int | None:
    return predictor.version.number if predictor else None


def served() -> Record:
    """The record of a deployment that serves its first version."""
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    return world.record
