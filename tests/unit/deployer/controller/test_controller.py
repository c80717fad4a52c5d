"""The loop where something goes wrong that nobody foresaw, with no registry to be had."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from queue import Queue

import pytest
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.analysis.judging import Judging
from deployer.api.views import deployment
from deployer.background import workers
from deployer.config import settings as settings_of
from deployer.controller import controller as controller_of, events, pace
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.controller.metrics import Metrics
from deployer.controller.publish import LASTS_SECONDS
from deployer.controller.reconcile import Reconciler
from deployer.controller.scope import Key
from deployer.errors import (
    DeletedByHand,
    NotFound,
    PassHangs,
    PlanChanged,
    RegistryUnreachable,
    TargetUnavailable,
    UnsafePlan,
)
from deployer.operator.commands import Commands
from deployer.operator.options import ApplyOptions, apply_options
from deployer.operator.queries import Queries
from deployer.plan.preview import Act, Node, ObjectChange, Preview
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.registry.watch import Watch
from deployer.state.observed import Observed
from deployer.state.record import Description, Promotion, Record
from deployer.state.registry import ModelVersion, RegisteredModel, RegistrySnapshot, VersionId
from deployer.status.verdict import Status
from deployer.store.evidence import EvidenceStore
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.router import RecordStores
from deployer.store.sqlite import Database

KEY, OTHER = Key("angler-prod", "angler", "prod"), Key("other-prod", "other", "prod")


class Target:
    """A target that fails as it is told to, and runs nothing."""

    name = "local"
    server = ""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.refusal: Exception | None = None
        self.told: list[Status] = []
        self.observed: Counter[str] = Counter()
        self.held = threading.Event()
        self.held.set()
        self.hanging: set[str] = set()
        self.released = threading.Event()
        self.broken: set[str] = set()
        self.rendered = Preview(digest="rendered")
        self.awaits = ""

    def observe(self, deployment: str) -> Observed:
        self.observed[deployment] += 1
        self.held.wait(30)
        if deployment in self.hanging:
            self.released.wait(60)
        if deployment in self.broken:
            raise RuntimeError("always")
        if self.error:
            raise self.error
        return Observed({}, 1.0, awaits=self.awaits)

    def apply(self, *_: object) -> None:
        if self.refusal:
            raise self.refusal

    def publish(self, told: Status) -> None:
        self.told.append(told)

    def preview(self, _: object) -> Preview:
        if self.error:
            raise self.error
        return self.rendered

    def tree(self, deployment: str) -> Node:
        return Node("ModelDeployment", deployment)

    def deployments(self) -> set[tuple[str, str]]:
        if isinstance(self.error, TargetUnavailable):
            raise self.error
        return set()

    def url(self, model: str, environment: str) -> str:
        return f"http://gateway/{environment}/{model}/"

    def close(self) -> None:
        pass


@pytest.fixture
def target():
    return Target()


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def woken():
    """The deployments that are woken because something was read for them."""
    return Queue()


@pytest.fixture
def controller(tmp_path, monkeypatch, target, clock, woken):
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    settings = settings_of.load({})
    database = Database(tmp_path / "deployer.db")
    rest = RegistryClient(f"http://127.0.0.1:{free_port()}")
    kept = Records(database)
    records = RecordStores(kept, {})
    records.save(Record("angler-prod", "angler", "prod"))
    marker = RegistryIdentity(rest, kept, settings.platform_id)
    registry = Registry(rest, marker.check)
    mirror = TagWriter(rest, kept, marker.advance)
    world = ReconcileContext(
        settings=settings,
        registry=registry,
        descriptions=Descriptions(registry, lambda *_: None, woken.put, clock),
        identity=marker,
        records=records,
        history=History(database),
        tags=mirror,
        promoters=Promoters(registry),
        judging=Judging(lambda _: None, time.time),
        evidence=EvidenceStore(database),
        targets=dict.fromkeys(settings.environments, target),
        clock=clock,
    )
    environments = list(settings.environments)
    made = Controller(
        world,
        lambda changed: Watch(
            registry, marker, environments, lambda: False, changed, 0.1, 30, lambda: 100.0
        ),
        Metrics(),
    )
    yield made
    target.released.set()
    made.close()
    world.descriptions.close()
    world.promoters.close()
    mirror.close()
    rest.close()
    database.close()


def test_a_deployment_whose_first_pass_fails_is_shown_with_the_reason(controller, target):
    target.error = RuntimeError("a secret: hunter2")
    controller.start()
    [status] = wait_for(controller.statuses, "the deployment to be shown")
    assert (status.verdict.state, status.verdict.reason) == ("Failed", "PassFailed")
    assert "angler in prod" in status.verdict.message
    assert "RuntimeError" in status.verdict.message
    assert "hunter2" not in status.verdict.message
    assert "traceback" in status.verdict.next_step
    assert status.target == "local"
    assert status.plan.changes == ()


def test_a_failure_that_was_foreseen_keeps_its_own_reason(controller, target):
    target.error = TargetUnavailable("supervisord is away.", "schnitzel up")
    controller.start()
    [status] = wait_for(controller.statuses, "the deployment to be shown")
    assert status.verdict.reason == "TargetUnavailable"
    assert status.verdict.next_step == "schnitzel up"
    told = wait_for(
        lambda: deployment(controller.status("angler-prod"), controller.context.settings)[
            "retry_at"
        ],
        "a time for the next try, since it may pass",
    )
    assert datetime.fromisoformat(told).timestamp() > controller.context.clock()


def test_a_word_of_a_person_is_told_as_soon_as_it_is_given(controller, target):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    wait_for(lambda: not controller.depth(), "nothing to be due")
    Commands(controller).pause("angler-prod", "ada", "measuring")
    assert controller.status("angler-prod").record.pause.by == "ada"
    Commands(controller).resume("angler-prod", "ada")
    assert controller.status("angler-prod").record.pause is None


def test_what_does_not_pass_by_itself_is_not_waited_for(controller, target):
    target.error = TargetUnavailable("It is somebody else's.", "--adopt", transient=False)
    controller.start()
    [status] = wait_for(controller.statuses, "the deployment to be shown")
    assert deployment(status, controller.context.settings)["retry_at"] is None


def test_it_has_looked_once_each_of_those_on_record_has_a_status(controller, target):
    target.held.clear()
    controller.start()
    assert not controller.has_synced()
    assert controller.statuses() == []
    target.held.set()
    wait_for(controller.has_synced, "a look at the one on record")
    assert [status.record.id for status in controller.statuses()] == ["angler-prod"]


def test_it_is_passed_over_again_and_recovers(controller, target):
    target.error = RuntimeError("once")
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    target.error = None
    status = wait_for(
        lambda: (seen := controller.status("angler-prod")).verdict.state != "Failed" and seen,
        "its recovery",
    )
    assert status.verdict.reason == "NothingPromoted"
    assert status.url


def test_what_broke_later_keeps_what_was_known_and_says_since_when(controller, target):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    target.error = RuntimeError("later")
    controller.resync()
    status = wait_for(
        lambda: (seen := controller.status("angler-prod")).verdict.state == "Failed" and seen,
        "its failure",
    )
    assert status.url == "http://gateway/prod/angler/"
    assert status.changed_at == 100.0


def promoted() -> RegistrySnapshot:
    version = VersionId("angler", 1, 1)
    row = ModelVersion(version, "Production", frozenset(), "models:/m", "run", 1)
    return RegistrySnapshot({"angler": RegisteredModel("angler", (row,))}, 1.0)


def test_a_pass_that_may_not_act_is_told_everywhere_as_it_was_decided(controller, target):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    target.refusal = TargetUnavailable("It is somebody else's.", "--adopt", transient=False)
    controller.context.registry._snapshot = promoted()
    controller.resync()
    status = wait_for(
        lambda: (seen := controller.status("angler-prod")).verdict.state == "Failed" and seen,
        "the refusal",
    )
    assert status.verdict.message == "It is somebody else's."
    assert status.wanted.version.number == 1
    assert target.told[-1] == status
    assert controller.context.records.load("angler-prod", "prod") == status.record


def test_what_may_pass_is_told_once_it_has_lasted_and_forgotten_once_it_has_passed(
    controller, target, clock, monkeypatch
):
    reconciler = Reconciler(controller.context, threading.Event(), set)
    first = reconciler.run(KEY, None)
    accounts: list[object] = []
    monkeypatch.setattr(events, "record_outcome", lambda *of: accounts.append(of))
    for fault in ("refusal", "error"):  # of what it does, of what it sees
        setattr(target, fault, TargetUnavailable("Somebody else was faster."))
        target.told.clear()
        for _ in range(2):
            young = reconciler.run(KEY, first.status)
            assert young.error
            assert young.status.verdict == first.status.verdict
            assert not target.told
        clock.now += LASTS_SECONDS
        lasting = reconciler.run(KEY, young.status)
        assert lasting.status.verdict.message == "Somebody else was faster."
        assert not lasting.status.settled
        assert target.told == [lasting.status]
        assert not accounts, "whether this Deployer is still the one that acts, is not known"
        setattr(target, fault, None)
        assert reconciler.run(KEY, lasting.status).status.verdict == first.status.verdict
        accounts.clear()


def test_what_breaks_because_all_is_being_closed_is_not_told(controller, target):
    closing = threading.Event()
    reconciler = Reconciler(controller.context, closing, set)
    first = reconciler.run(KEY, None)
    target.told.clear()
    target.refusal = RuntimeError("it is closed")
    closing.set()
    assert reconciler.run(KEY, first.status).status.verdict == first.status.verdict
    assert not target.told


def test_a_place_that_cannot_be_told_anything_keeps_nobody_from_hearing_it(
    controller, target, monkeypatch
):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")

    def break_down(_: object) -> None:
        raise KeyError("status")

    monkeypatch.setattr(target, "publish", break_down)
    for refusal in (RuntimeError("a bug"), TargetUnavailable("no", transient=False)):
        target.refusal = refusal
        controller.resync()
        reason = "PassFailed" if isinstance(refusal, RuntimeError) else "TargetUnavailable"
        wait_for(
            lambda reason=reason: controller.status("angler-prod").verdict.reason == reason, reason
        )


def test_whose_spec_cannot_be_used_is_known_as_of_its_last_pass(controller):
    world = controller.context
    reconciler = Reconciler(world, threading.Event(), set)
    version = VersionId("angler", 1, 1)
    spoilt = Description("models:/m", None, "serving.yaml: replicas is no number.", "Correct it.")
    record = Record(
        "angler-prod",
        "angler",
        "prod",
        promotions=(Promotion(version, "stage Production", 1, 1.0),),
        descriptions={version.key: spoilt},
    )
    for description, invalid in ((spoilt, True), (Description("models:/m", {}), False)):
        world.records.save(replace(record, descriptions={version.key: description}))
        done = reconciler.run(KEY, None)
        assert not done.error
        assert done.status.invalid == invalid


@pytest.fixture
def files_held(controller, monkeypatch):
    """Two models promoted by Ada; where the files of the first are hangs until it is released."""
    tags = {"schnitzel.prod.promoted_by": "ada"}
    models = {}
    for name in ("angler", "other"):
        version = VersionId(name, 1, 1)
        row = ModelVersion(version, "Production", frozenset(), "models:/m", "run", 1, tags=tags)
        models[name] = RegisteredModel(name, (row,))
    registry, released = controller.context.registry, threading.Event()
    monkeypatch.setattr(registry, "_snapshot", RegistrySnapshot(models, 1.0))

    def describe(version, _):
        if version.id.model == "angler":
            assert released.wait(60)
        return Description("models:/m", {})

    monkeypatch.setattr(registry, "describe", describe)
    yield released
    released.set()


def test_a_pass_does_not_wait_for_mlflow_and_loses_no_claim_meanwhile(
    controller, files_held, woken
):
    world = controller.context
    reconciler = Reconciler(world, threading.Event(), set)
    first = reconciler.run(KEY, None)
    for done in (first, reconciler.run(KEY, first.status)):
        assert not done.error
        assert (done.status.verdict.state, done.status.verdict.reason) == ("Progressing", "Reading")
        assert done.status.verdict.message == "Version 1 is being read from the registry."
        assert not done.status.settled, "no tag says so, and the next pass comes soon"
    assert not world.history.of("angler-prod", 10), "no rollout has begun"
    assert world.records.load("angler-prod", "prod").promotions[0].by == "ada"
    reconciler.run(OTHER, None)
    assert woken.get(timeout=60) == "other-prod"
    assert reconciler.run(OTHER, None).status.record.candidate
    files_held.set()
    assert woken.get(timeout=60) == "angler-prod"
    assert reconciler.run(KEY, first.status).status.record.candidate
    [event] = world.history.of("angler-prod", 10)
    assert (event["action"], event["to"], event["who"]) == ("rollout", "1", "ada (by the CLI)")


def test_a_preview_waits_for_what_a_pass_does_not(controller, files_held):
    reconciler = Reconciler(controller.context, threading.Event(), set)
    threading.Timer(0.05, files_held.set).start()
    plan, _ = reconciler.preview(KEY)
    assert [change.version for change in plan.changes][:1] == ["1"]
    assert not controller.context.records.load("angler-prod", "prod").promotions, "nothing is saved"


def test_a_description_that_cannot_be_read_says_why_and_the_next_pass_comes_for_its_retry(
    controller, files_held, woken, monkeypatch, clock
):
    def refuse(*_):
        raise RegistryUnreachable("MLflow does not answer.", "schnitzel status")

    monkeypatch.setattr(controller.context.registry, "describe", refuse)
    reconciler = Reconciler(controller.context, threading.Event(), set)
    reconciler.run(KEY, None)
    assert woken.get(timeout=60) == "angler-prod"
    done = reconciler.run(KEY, None)
    assert done.status.settled
    told = done.status.verdict
    assert (told.state, told.reason, told.next_step) == (
        "Failed", "RegistryUnreachable", "schnitzel status",
    )  # fmt: skip
    assert told.message == (
        "Version 1 cannot be served: MLflow does not answer; nothing serves meanwhile."
    )
    assert clock.now < done.wake_at <= clock.now + 2


def test_a_retry_by_an_operator_reads_again_what_could_not_be_used(controller):
    key = VersionId("angler", 1, 1).key
    good, spoilt = Description("models:/m", {}), Description("models:/m", None, "No.", "Mend it.")
    for known, kept in ((good, {key: good}), (spoilt, {})):
        record = Record("angler-prod", "angler", "prod", descriptions={key: known})
        assert apply_options(record, ApplyOptions(retry=True), ()).descriptions == kept


def test_a_pass_that_comes_before_the_target_has_read_everything_decides_nothing(
    controller, target, clock
):
    reconciler = Reconciler(controller.context, threading.Event(), set)
    first = reconciler.run(KEY, None)
    record = controller.context.records.load("angler-prod", "prod")
    target.told.clear()
    target.awaits = "the logs of its pods"
    clock.now += 10
    early = reconciler.run(KEY, first.status)
    assert early.status is first.status
    assert not early.error
    assert clock.now < early.wake_at < clock.now + 1
    assert not target.told
    assert controller.context.records.load("angler-prod", "prod") is record
    assert reconciler.run(KEY, None).status.verdict.reason == "Reading"
    assert reconciler.preview(KEY), "a person gets what is known by now"
    target.awaits = ""
    assert reconciler.run(KEY, first.status).status is not first.status


def test_a_plan_can_be_asked_for_while_the_registry_and_the_target_are_away(controller, target):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    target.error = TargetUnavailable("away")
    status, rendered = Queries(controller).plan("angler-prod")
    assert status.plan.changes == ()
    assert rendered is None
    with pytest.raises(TargetUnavailable):
        Commands(controller).apply("angler-prod", "ada", ApplyOptions(reviewed="anything"))
    with pytest.raises(NotFound):
        Queries(controller).plan("no-such")


def test_a_look_at_the_registry_that_breaks_is_said_and_does_not_end_the_watch(
    controller, monkeypatch
):
    looked = threading.Event()

    def nonsense(_: float) -> None:
        looked.set()
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(controller.context.registry, "list_all", nonsense)
    controller.start()
    health = wait_for(lambda: (h := controller.health).reason == "PassFailed" and h, "the reason")
    assert health.state == "Unseen"
    assert "KeyError" in health.message
    looked.clear()
    assert looked.wait(10), "it looks no more"


def test_a_plan_that_was_reviewed_is_refused_once_what_is_rendered_for_it_is_another(
    controller, target
):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    status, rendered = controller.preview("angler-prod")
    reviewed = status.plan.digest(rendered)
    target.rendered = Preview(digest="another chart")
    with pytest.raises(PlanChanged) as caught:
        Commands(controller).apply("angler-prod", "ada", ApplyOptions(reviewed=reviewed))
    assert caught.value.hint.endswith("schnitzel deploy plan angler -e prod")
    target.rendered = Preview(digest="rendered")
    Commands(controller).apply("angler-prod", "ada", ApplyOptions(reviewed=reviewed))


def test_a_persons_word_to_take_over_names_the_very_objects_and_who_said_it(controller, target):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    with pytest.raises(UnsafePlan, match="nothing to adopt"):
        Commands(controller).apply("angler-prod", "ada", ApplyOptions(adopt=True))
    stranger = ObjectChange(Act.CONFLICT, "Service", "angler-prod-v1", uid="u-1")
    other = ObjectChange(Act.UPDATE, "ConfigMap", "angler-prod-v1")
    target.rendered = Preview((other, stranger), digest="rendered")
    Commands(controller).apply("angler-prod", "ada", ApplyOptions(adopt=True))
    assert controller.context.records.load("angler-prod", "prod").adopt == ("u-1",)
    event = controller.context.history.of("angler-prod", 1)[-1]
    assert (event["who"], event["action"]) == ("ada", "apply")
    assert event["detail"] == "adopt Service/angler-prod-v1"


def test_only_an_apply_lets_a_deployment_be_made_again_that_somebody_deleted(
    controller, monkeypatch
):
    controller.start()
    wait_for(controller.statuses, "the deployment to be shown")
    allowed = []

    def refuse(record: Record) -> None:
        if not allowed:
            raise DeletedByHand(f"{record.id} was deleted.", "schnitzel deploy apply angler")

    records = controller.context.records
    monkeypatch.setattr(records, "raise_if_deleted", refuse)
    monkeypatch.setattr(records, "allow", lambda *key: allowed.append(key))
    before, commands = controller.context.history.of("angler-prod", 10), Commands(controller)
    for word in (commands.resume, lambda *a: commands.pause(*a, reason="")):
        with pytest.raises(DeletedByHand):
            word("angler-prod", "ada")
    assert controller.context.history.of("angler-prod", 10) == before
    Commands(controller).apply("angler-prod", "ada", ApplyOptions())
    assert allowed == [("angler-prod", "prod")]


@pytest.fixture
def several(controller, target, monkeypatch):
    """As many deployments that hang as there are workers, one that always fails, and two others."""
    monkeypatch.setattr(workers, "HANG_SECONDS", 0.2)
    monkeypatch.setattr(pace, "RESYNC_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(pace, "BACKOFF_SECONDS", (0.01, 0.01))
    names = [f"hangs{number}" for number in range(workers.WORKERS)]
    for name in (*names, "fails", "fast"):
        controller.context.records.save(Record(f"{name}-prod", name, "prod"))
    target.hanging = {f"{name}-prod" for name in names}
    target.broken = {"fails-prod"}
    controller.start()
    return sorted(target.hanging)


def reason_of(controller, deployment):
    known = {status.record.id: status.verdict.reason for status in controller.statuses()}
    return known.get(deployment)


def test_those_that_hang_or_fail_are_told_so_and_leave_the_others_their_rate(
    controller, target, several
):
    for hanging in several:
        wait_for(lambda hanging=hanging: reason_of(controller, hanging) == "PassHangs", hanging)
    wait_for(controller.has_synced, "all to have been looked at, or to be known to hang")
    for going_on in ("fast-prod", "angler-prod", "fails-prod"):
        before = target.observed[going_on]
        wait_for(
            lambda name=going_on, before=before: target.observed[name] >= before + 10, going_on
        )
    assert reason_of(controller, "fails-prod") == "PassFailed"
    assert reason_of(controller, "fast-prod") == "NothingPromoted"
    assert all(target.observed[hanging] == 1 for hanging in several)
    told = controller.status(several[0])
    assert told.verdict.state == "Failed"
    assert "hangs0 in prod" in told.verdict.message
    target.released.set()
    for hanging in several:
        wait_for(
            lambda hanging=hanging: reason_of(controller, hanging) == "NothingPromoted", hanging
        )


def test_a_word_about_one_that_hangs_is_refused_and_not_waited_for(
    controller, target, several, monkeypatch
):
    wait_for(lambda: reason_of(controller, several[0]) == "PassHangs", "it to be told")
    wait_for(lambda: target.observed[several[0]], "its pass to hang where it holds the record")
    monkeypatch.setattr(controller_of, "REQUEST_SECONDS", 0.0)
    with pytest.raises(PassHangs, match="hangs0 in prod"):
        Commands(controller).pause(several[0], "ada", "measuring")
    target.released.set()
    wait_for(lambda: reason_of(controller, several[0]) == "NothingPromoted", "its pass to end")
    monkeypatch.setattr(controller_of, "REQUEST_SECONDS", 30.0)
    Commands(controller).pause(several[0], "ada", "measuring")
    assert controller.context.records.load(several[0], "prod").pause


def test_an_end_does_not_wait_for_passes_that_hang(controller, target, several):
    for hanging in several:
        wait_for(lambda hanging=hanging: reason_of(controller, hanging) == "PassHangs", hanging)
    controller.close(3600)
    assert not target.released.is_set()
    assert reason_of(controller, several[0]) == "PassHangs"


def test_a_target_that_has_no_place_for_a_status_and_shows_no_objects_gets_passes_as_well(
    controller, target, monkeypatch
):
    monkeypatch.delattr(Target, "publish")
    monkeypatch.delattr(Target, "tree")
    controller.start()
    [status] = wait_for(controller.statuses, "the deployment to be shown")
    assert status.verdict.reason == "NothingPromoted"
    with pytest.raises(NotFound, match="does not show the objects") as caught:
        Queries(controller).tree("angler-prod")
    assert caught.value.hint == "schnitzel deploy status angler -e prod"
