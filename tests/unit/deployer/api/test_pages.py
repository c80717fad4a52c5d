"""The overview page over HTTP: what it draws, what it refuses, what it never lets through."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from support.queues import MemoryBroker, queue_predictor, server_says
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.api import app as api, views
from deployer.api.web import stages
from deployer.brokers.client import Brokers
from deployer.brokers.contract import Message
from deployer.brokers.loop import Loop
from deployer.brokers.names import names_of
from deployer.config.environment import Environment
from deployer.controller.metrics import Metrics
from deployer.controller.queues import QueueWatch
from deployer.errors import NotFound
from deployer.plan.plan import Plan
from deployer.registry.client import RegistryClient
from deployer.registry.watch import Health
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, Wanted
from deployer.state.evidence import Arm, MetricVerdict, Outcome, Trial, Verdict, Window
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import ExampleState, Phase, Predictor, Role
from deployer.state.record import Candidate, Draining, Record
from deployer.state.registry import VersionId
from deployer.status import verdict
from deployer.status.verdict import Status, Sync

MLFLOW = RegistryClient("http://127.0.0.1:1")  # nobody is there
ENVIRONMENTS = {
    "staging": Environment(stage="Staging"),
    "prod": Environment(stage="Production"),
}
HOSTILE = "x\"><script>alert('1')</script>"


def told(model: str = "angler", environment: str = "prod", **observed: Any) -> Status:
    version = VersionId(model, 2, 1)
    predictor = Predictor(
        "angler-prod-v2-1a2b3c4d", version, Role.CHAMPION, "d1", "s3://b", ServingSpec()
    )
    seen = {"phase": Phase.READY, "live_weight": 100, "example": ExampleState.PASSED} | observed
    record = Record("angler-prod", model, environment).with_champion(predictor)
    wanted = Wanted(predictor, version, "alias champion", 1.0)
    world = Observed({predictor.name: ObservedPredictor(predictor, since=1.0, **seen)}, 2.0)
    plan = Plan((), Deployment("angler-prod", model, environment, ()))
    return Status(
        verdict.judge(record, wanted, world, ""), Sync.IN_SYNC, record, wanted, world,
        "http://127.0.0.1:8000/prod/angler/", "local", 1.5, True, plan,
    )  # fmt: skip


@dataclass
class Engine:
    """What the API asks of the controller, with deployments that a test puts in."""

    found: list[Status] = field(default_factory=list)
    health: Health = field(default_factory=lambda: Health("Fresh", message="", listed_at=1.0))
    metrics: Metrics = field(default_factory=Metrics)
    watch: Any = None
    log: str = ""
    windows: list[Window] = field(default_factory=list)
    judged: str = "d2"
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    target: Any = field(default_factory=SimpleNamespace)

    def __post_init__(self) -> None:
        brokers: Any = {"default": self.broker}
        self.queues = QueueWatch(
            Brokers(brokers, Loop()),
            lambda: [status.record for status in self.found],
            {"prod": self.target},
            lambda: 3.0,
        )

    @property
    def context(self) -> Any:
        none = SimpleNamespace(url=None)
        settings = SimpleNamespace(platform_id="p-1", environments=ENVIRONMENTS, prometheus=none)
        registry = SimpleNamespace(snapshot=None, rest=MLFLOW)
        return SimpleNamespace(
            settings=settings,
            registry=registry,
            clock=lambda: 3.0,
            queues=self.queues,
            history=SimpleNamespace(of=lambda *_: []),
            evidence=SimpleNamespace(
                verdicts=lambda *_: [(Trial("angler-prod", self.judged, 1, "p"), 0, {})],
                latest=lambda *_: self.windows,
            ),
            targets={"prod": SimpleNamespace(logs=lambda *_: self.log)},
        )

    def statuses(self) -> list[Status]:
        return self.found

    def status(self, deployment: str) -> Status:
        for each in self.found:
            if each.record.id == deployment:
                return each
        raise NotFound(f"There is no deployment {deployment!r}.")

    def plan(self, deployment: str) -> Status:
        return self.status(deployment)

    def depth(self) -> int:
        return 0


@pytest.fixture
def engine() -> Engine:
    return Engine([told()])


@pytest.fixture
def pages(engine: Engine, tmp_path: Path) -> Iterator[httpx.Client]:
    app = api.make(engine, tmp_path / "tokens", "", ["127.0.0.1"])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, "the API")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join()


def live(html: str) -> str:
    found = re.search(r'"seen": "(\w+)"', html)
    assert found
    return found[1]


def test_the_list_shows_wanted_beside_serving_the_reason_and_the_address(pages):
    shown = pages.get("/").text
    for words in ("angler", "@prod", "Serving", "InSync", "Version 2 serves all requests."):
        assert words in shown
    assert "http://127.0.0.1:8000/prod/angler/" in shown


def judged(message: str) -> Status:
    """A candidate at the first of two steps, with a verdict on it."""
    status = told()
    champion = status.record.champion
    assert champion
    steps = {"steps": [{"weight": 10, "require": "not_worse", "pause": True}, 100]}
    spec = ServingSpec.model_validate({"rollout": steps})
    version = VersionId("angler", 3, 1)
    new = Predictor("angler-prod-v3", version, Role.CHAMPION, "d2", "s3://b", spec)
    metric = MetricVerdict("errors", Outcome.UNDECIDED, message, 0.0, 0.01, -0.01, 0.03, 0.02, 240)
    said = Verdict("d2", "d1", "p", 0, 10.0, 20.0, Outcome.UNDECIDED, (metric,), message, 120)
    record = replace(status.record, candidate=Candidate(new, 1.0, 0, 5.0))
    observed = replace(status.observed, verdict=said)
    return replace(status, record=record, observed=observed)


def test_a_rollout_shows_its_steps_its_evidence_and_both_versions(pages, engine):
    engine.found = [judged("errors 0 % of 120 requests")]
    engine.windows = [Window(n, n, Arm(12, 0, 0, {140: 12}), Arm(90, 1)) for n in (1, 2)]
    shown = pages.get("/deployments/angler-prod").text
    assert "Rollout of version 3" in shown
    now = r'class="now" aria-current="step"><strong>10 %</strong> not_worse, an operator'
    assert re.search(now, shown)
    assert "errors 0 % of 120 requests" in shown
    assert shown.count("<polyline") == 4
    assert 'aria-label="errors differ by -1 to 3 points, 2 allowed"' in shown
    assert "schnitzel deploy abort angler@prod" in shown
    assert "style=" not in shown, "the page forbids them"
    engine.judged = "another version"
    assert "<polyline" not in pages.get("/deployments/angler-prod").text


def test_a_version_that_bakes_shows_what_it_returns_to(pages, engine):
    status = told()
    old = Predictor("v1", VersionId("angler", 1, 1), Role.CHAMPION, "d0", "s", ServingSpec())
    record = replace(status.record, draining=(Draining(old, keep_until=4_000_000_000.0),))
    engine.found = [replace(status, record=record)]
    shown = pages.get("/deployments/angler-prod").text
    assert "<strong>bake</strong> version 1 stays warm until" in shown
    assert "<polyline" not in shown


def test_a_queue_is_drawn_with_its_depth_its_rate_and_its_dead_letters(pages, engine):
    status = told()
    record = status.record.with_champion(queue_predictor())
    engine.found = [replace(status, record=record)]
    names = names_of(queue_predictor().spec.queue.named("angler", "prod"))
    engine.broker.queues = {name: [] for name in names.all}
    engine.target.queues = lambda _: {"r": server_says()}
    assert "nothing yet" not in pages.get("/deployments/angler-prod").text
    engine.broker.send(names.source, [Message(b"{}")] * 7)
    engine.queues.read_depths()
    engine.queues.read_servers()
    shown = pages.get("/deployments/angler-prod").text
    assert "<code>angler.prod</code> at default" in shown
    assert "1 of 1 consume" in shown
    assert shown.count("<polyline") == 3
    assert 'aria-label="messages that wait: 7 now, 7 at most"' in shown
    assert "schnitzel queue show angler@prod" in shown
    assert "style=" not in shown, "the page forbids them"
    engine.target.queues = lambda _: {"r": server_says(reason="QueueMissing", message=HOSTILE)}
    engine.queues.read_servers()
    shown = pages.get("/deployments/angler-prod").text
    assert "<strong>QueueMissing.</strong> r: " in shown
    assert "<script>alert" not in shown


def test_a_deployment_without_a_queue_has_no_section_of_it(pages):
    assert 'id="h-queue"' not in pages.get("/deployments/angler-prod").text


def test_what_a_verdict_says_is_text_on_the_page(pages, engine):
    engine.found = [judged(HOSTILE)]
    assert "<script>alert" not in pages.get("/deployments/angler-prod").text


def test_nothing_is_sent_while_nothing_changes(pages, engine):
    seen = live(pages.get("/").text)
    assert pages.get("/live/overview", params={"seen": seen}).status_code == 204
    engine.found.append(told("other"))
    changed = pages.get("/live/overview", params={"seen": seen})
    assert (changed.status_code, "other" in changed.text) == (200, True)
    seen = live(pages.get("/deployments/angler-prod").text)
    answer = pages.get("/live/deployments/angler-prod", params={"seen": seen})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=ang", 1),
        ("q=serving+ang", 1),
        ("q=zzz", 0),
        ("environment=staging", 0),
        ("state=InSync", 1),
    ],
)
def test_the_list_can_be_narrowed(pages, query, count):
    answer = pages.get(f"/live/overview?{query}")
    assert answer.text.count('id="row-') == count
    assert answer.headers["HX-Replace-Url"] == f"/?{query}"


@pytest.mark.parametrize("path", ["/", "/deployments/angler-prod", "/deployments/absent"])
def test_no_page_runs_a_script_that_is_not_ours(pages, engine, path):
    engine.found[0] = told(HOSTILE, message="<img src=x onerror=alert(1)>", phase=Phase.UNREADY)
    answer = pages.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "alert('1')</script>" not in answer.text
    assert "<img src=x" not in answer.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=\"|style=\"|javascript:", answer.text)


def test_a_log_is_shown_as_text(pages, engine):
    engine.log = "<script>alert(1)</script>"
    assert "&lt;script&gt;" in pages.get("/live/deployments/angler-prod/log").text


def test_a_deployment_that_is_gone_is_said_and_asked_for_no_more(pages):
    assert pages.get("/deployments/absent").status_code == 404
    answer = pages.get("/live/deployments/absent?seen=x")
    assert answer.status_code == 286
    assert "There is no deployment" in answer.text


def test_only_the_page_itself_may_ask_a_model(pages):
    path = "/live/deployments/angler-prod/try"
    assert pages.post(path, data={"input": "{}"}).status_code == 403
    ours = {"HX-Request": "true"}
    answer = pages.post(path, content="input=%7B", headers=ours)
    assert "This is no JSON" in answer.text
    big = pages.post(path, content="input=" + "1" * 1_100_000, headers=ours)
    assert "more than this page sends" in big.text


def test_an_empty_platform_says_which_command_to_run(pages, engine):
    engine.found.clear()
    shown = pages.get("/").text
    assert "schnitzel train angler" in shown
    assert "--to prod" in shown


def test_a_frozen_registry_is_on_every_page(pages, engine):
    engine.health = Health("Frozen", "RegistryFrozen", "It went back in time.", "say so")
    for path in ("/", "/deployments/angler-prod"):
        assert "It went back in time." in pages.get(path).text


def test_static_files_have_their_types_and_nothing_else_is_there(pages):
    for name, kind in (
        ("page.js", "text/javascript"),
        ("page.css", "text/css"),
        ("icon.svg", "image/svg"),
    ):
        answer = pages.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
    assert pages.get("/static/..%2Fpages.py").status_code == 404


def test_the_api_s_log_names_its_predictor(pages, engine):
    engine.log = "ready\n"
    answer = pages.get("/api/v1/deployments/angler-prod/logs")
    assert (answer.text, answer.headers["x-schnitzel-predictor"]) == (
        "ready\n", "angler-prod-v2-1a2b3c4d",
    )  # fmt: skip


def test_what_a_spec_asks_for_and_does_not_get_is_noted_on_every_page_and_in_the_api(pages, engine):
    spec = ServingSpec.model_validate({"resources": {"gpu": 2}})
    one = told()
    asking = replace(one.record.champion, spec=spec)
    engine.found[0] = replace(
        one,
        record=one.record.with_champion(asking),
        wanted=replace(one.wanted, champion=asking),
    )
    for path in ("/", "/deployments/angler-prod"):
        assert "resources.gpu is 2; this machine reserves none" in pages.get(path).text
    [note] = pages.get("/api/v1/deployments/angler-prod").json()["notes"]
    assert note.startswith("resources.gpu is 2")


def test_the_plans_of_all_have_no_digest_for_nothing_is_rendered_for_them(pages):
    [plan] = pages.get("/api/v1/plan").json()["plans"]
    assert "digest" not in plan
    assert "--plan" not in pages.get("/deployments/angler-prod").text


@pytest.mark.parametrize(
    ("seen", "stop", "mark"),
    [
        ({"phase": Phase.FETCHING, "live_weight": 0}, "Fetched", "now"),
        ({"phase": Phase.BUILDING, "live_weight": 0}, "Environment", "now"),
        ({"phase": Phase.STARTING, "live_weight": 0}, "Started", "now"),
        ({"live_weight": 0, "example": ExampleState.ASKED}, "Example", "now"),
        ({"live_weight": 0}, "Traffic", "now"),
        ({"live_weight": 50}, "Traffic", "now"),
        ({}, "Traffic", "done"),
        ({"phase": Phase.FAILED, "live_weight": 0, "reason": "LoadError"}, "Started", "failed"),
        ({"phase": Phase.FAILED, "reason": "ExampleRefused"}, "Example", "failed"),
    ],
)
def test_the_journey_marks_how_far_the_wanted_version_is(seen, stop, mark):
    none = SimpleNamespace(url=None)
    settings: Any = SimpleNamespace(environments=ENVIRONMENTS, prometheus=none)
    stops = stages.of(views.deployment(told(**seen), settings))
    place = [each.name for each in stops].index(stop)
    assert stops[place].mark == mark
    assert {each.mark for each in stops[:place]} <= {"done"}
    assert {each.mark for each in stops[place + 1 :]} <= {"todo"}
