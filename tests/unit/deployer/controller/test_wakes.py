"""Which deployments a change wakes, where nothing else runs a pass: all of them are at rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.run.ports import free_port

from deployer.analysis.judging import Judging
from deployer.background.queue import WorkQueue
from deployer.config import settings as settings_of
from deployer.controller import pace
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.controller.metrics import Metrics
from deployer.errors import TargetUnavailable
from deployer.operator.commands import Commands
from deployer.plan.preview import Preview
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.registry.watch import Watch
from deployer.state.deployment import Deployment
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase
from deployer.state.record import Description, Failure, Record
from deployer.state.registry import ModelVersion, RegisteredModel, RegistrySnapshot, VersionId
from deployer.store.evidence import EvidenceStore
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.router import RecordStores
from deployer.store.sqlite import Database

NAMES = ("angler", "baker", "carver")


class Target:
    """A target where whatever is applied is ready and served at once."""

    name = "local"
    server = ""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, ObservedPredictor]] = {}
        self.here: set[tuple[str, str]] = set()
        self.during: Callable[[str], object] = lambda _: None
        self.mute = False

    def observe(self, deployment: str) -> Observed:
        self.during(deployment)
        return Observed(self.running.get(deployment, {}), 1.0)

    def apply(self, deployment: Deployment, _: Observed) -> None:
        self.running[deployment.id] = {
            slot.predictor.name: ObservedPredictor(
                slot.predictor,
                Phase.READY,
                1.0,
                live_weight=slot.weight,
                example=ExampleState.PASSED,
            )
            for slot in deployment.predictors
        }

    def publish(self, _: object) -> None:
        if self.mute:
            raise TargetUnavailable("The status cannot be written now.")

    def preview(self, _: object) -> Preview:
        return Preview()

    def deployments(self) -> set[tuple[str, str]]:
        return self.here

    def url(self, *_: object) -> str:
        return ""


class Prompt(Descriptions):
    """Descriptions that are there at once, since time does not pass while they are read."""

    def read(
        self, record: Record, snapshot: RegistrySnapshot, now: float, wait: float = 60.0
    ) -> tuple[Record, Failure | None]:
        return super().read(record, snapshot, now, max(wait, 60.0))


class Platform:
    """A controller without threads: the tests move its clock, and run the passes that are due."""

    def __init__(self, home: Path) -> None:
        self.now = 1_000_000.0
        self.target = Target()
        settings = settings_of.load({})
        database = Database(home / "deployer.db")
        self.rest = RegistryClient(f"http://127.0.0.1:{free_port()}")
        self.kept = Records(database)
        marker = RegistryIdentity(self.rest, self.kept, settings.platform_id)
        self.registry = Registry(self.rest, marker.check)
        self.registry.describe = lambda *_: Description("models:/m", None)  # type: ignore[method-assign]
        self.mirror = TagWriter(self.rest, self.kept, lambda: None)
        context = ReconcileContext(
            settings=settings,
            registry=self.registry,
            descriptions=Prompt(self.registry, lambda *_: None),
            identity=marker,
            records=RecordStores(self.kept, {}),
            history=History(database),
            tags=self.mirror,
            promoters=Promoters(self.registry),
            judging=Judging(lambda _: None, time.time),
            evidence=EvidenceStore(database),
            targets=dict.fromkeys(settings.environments, self.target),  # type: ignore[arg-type]
            clock=lambda: self.now,
        )
        self.controller = Controller(context, self._watch, Metrics())
        self.controller._queue = self.queue = WorkQueue(lambda: self.now)
        self._database = database

    def _watch(self, changed: Callable[[set[str] | None], None]) -> Watch:
        self.changed = changed
        watch: Any = object.__new__(Watch)
        watch.run = lambda: None
        watch.health = type("Health", (), {"held": {}})
        return watch

    def list_registry(self, *names: str, asked: tuple[str, ...] = ()) -> None:
        """Have the registry listed: it shows the first version of these models as promoted."""
        shown = {}
        for name in names:
            version = VersionId(name, 1, 101, "m-1")
            row = ModelVersion(version, "Production", frozenset(), "models:/m", "run", 1_002)
            shown[name] = RegisteredModel(name, (row,))
        self.registry._snapshot = RegistrySnapshot(shown, self.now, frozenset(asked))

    def due(self) -> list[str]:
        """Run the passes that are due, each once; returns over which deployments."""
        ran = []
        for _ in range(self.queue.depth()):
            key = self.queue.take()
            assert key is not None
            turn = self.controller._work(key)
            self.queue.done(key)
            self.queue.add(key, turn)
            ran.append(key.model)
        return sorted(ran)

    def settle(self) -> None:
        """Let time pass until all are at rest."""
        quiet = 0.0
        for _ in range(10_000):
            quiet = 0.0 if self.due() else quiet + pace.MOVING_SECONDS
            self.now += pace.MOVING_SECONDS
            if quiet > 1.2 * pace.STEADY_SECONDS:
                return
        raise AssertionError("they do not come to rest")

    def close(self) -> None:
        self.mirror.close()
        self.rest.close()
        self._database.close()


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    made = Platform(tmp_path)
    made.list_registry(*NAMES)
    made.changed(None)
    made.settle()
    yield made
    made.close()


def test_at_rest_nothing_runs_until_the_resync(platform):
    began, ran = platform.now, []
    least, most = pace.RESYNC_SECONDS
    while platform.now < began + most:
        platform.now += 1
        ran += platform.due()
        if platform.now < began + least - 2 * pace.STEADY_SECONDS:
            assert ran == []
    assert set(ran) == set(NAMES), "a hint that was lost is made up for"
    assert len(ran) <= 2 * len(NAMES)


def test_a_report_of_the_target_wakes_its_own_deployment_at_once(platform):
    platform.controller.enqueue("baker-prod")
    platform.controller.enqueue("no-such")
    assert platform.due() == ["baker"]
    assert platform.due() == []


def test_a_report_during_a_pass_runs_another(platform):
    platform.target.during = platform.controller.enqueue
    platform.controller.enqueue("baker-prod")
    assert platform.due() == ["baker"]
    platform.target.during = lambda _: None
    assert [platform.due(), platform.due()] == [["baker"], []]


def test_a_report_during_the_very_first_pass_is_not_lost(platform):
    platform.list_registry(*NAMES, "drover")
    platform.target.during = platform.controller.enqueue
    platform.changed({"drover"})
    assert platform.due() == ["drover"]
    platform.target.during = lambda _: None
    assert [platform.due(), platform.due()] == [["drover"], []]


def test_a_poll_wakes_whose_model_changed(platform):
    platform.changed({"baker"})
    assert platform.due() == ["baker"]


def test_a_listing_that_shows_nothing_new_wakes_nobody(platform):
    platform.list_registry(*NAMES)
    platform.changed(set())
    assert platform.due() == []


def test_a_listing_wakes_those_whose_absence_it_counts(platform):
    for missed in (True, False):
        platform.now += 30
        platform.list_registry("angler", "carver", asked=("baker",))
        platform.changed({"baker"} if missed else set())
        assert "baker" in platform.due()
    record = platform.kept.load("baker-prod")
    assert record is not None
    assert record.promotions == ()
    assert record.absence is not None
    before = record.absence.listings
    for listings in range(1, 3):
        platform.now += 30
        platform.list_registry("angler", "carver", asked=("baker",))
        platform.changed(set())
        while platform.queue.depth():
            platform.due()
            platform.now += 0.01
        record = platform.kept.load("baker-prod")
        assert record is not None
        assert record.absence is not None
        assert record.absence.listings == before + listings


def test_the_same_listing_is_counted_once(platform):
    platform.now += 5  # no resync is due yet
    platform.list_registry(*NAMES, asked=("baker",))
    platform.changed(set())
    assert platform.due() == ["baker"]
    platform.changed(set())
    assert platform.due() == []


def test_a_listing_finds_what_nobody_reported(platform):
    platform.kept.save(Record("drover-prod", "drover", "prod"))
    platform.target.here = {("elder", "prod")}
    platform.list_registry(*NAMES)
    platform.changed(set())
    assert platform.due() == ["drover", "elder"]


def test_a_word_of_a_person_runs_a_pass_at_once_and_a_look_one_over_each(platform):
    Commands(platform.controller).pause("baker-prod", "ada", "measuring")
    assert platform.due() == ["baker"]
    platform.controller.watch.hint = lambda _: None
    platform.controller.resync()
    Commands(platform.controller).resume("carver-prod", "ada")
    key = platform.queue.take()
    assert key.model == "carver", "nobody waits for the others"
    platform.queue.done(key)
    assert platform.due() == ["angler", "baker"]


def test_a_status_that_could_not_be_published_is_tried_again_soon(platform):
    platform.target.mute = True
    platform.controller.enqueue("baker-prod")
    platform.due()
    platform.target.mute = False
    platform.now += pace.STEADY_SECONDS * 1.2
    assert platform.due() == ["baker"]
    platform.now += pace.STEADY_SECONDS * 1.2
    assert platform.due() == []
