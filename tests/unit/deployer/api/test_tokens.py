"""What changes something asks who wants it; what only reads changes nothing.

The routes are those of the API itself, so that a new one is asked for its token, too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from support.queues import MemoryBroker, queue_predictor
from support.run.wait import wait_for
from support.world import served

from deployer.analysis.judging import Judging
from deployer.api import app as api, guard
from deployer.api.web import tryit
from deployer.brokers.client import Brokers
from deployer.brokers.loop import Loop
from deployer.brokers.names import names_of
from deployer.config import settings as settings_of
from deployer.controller.context import ReconcileContext
from deployer.controller.controller import Controller
from deployer.controller.metrics import Metrics
from deployer.controller.queues import QueueWatch
from deployer.controller.reconcile import Reconciler
from deployer.controller.retirements import LOOK_SECONDS
from deployer.controller.scope import Key
from deployer.plan.preview import Act, Node, ObjectChange, Preview
from deployer.python_env.retention import Inventory, KeptEnvironment
from deployer.registry.client import RegistryClient
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.registry.watch import Watch
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Arm, Outcome, Trial, Verdict, Window
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Absence, Candidate, Description, Draining, Promotion, Record
from deployer.state.registry import RegistrySnapshot, VersionId
from deployer.store.evidence import EvidenceStore
from deployer.store.history import History, by_operator
from deployer.store.records import Records
from deployer.store.router import RecordStores
from deployer.store.sqlite import Database

TOKEN, SUBJECT, SECRET = "correct-horse", "ada", "hunter2"
ID = "angler-prod"
SETTINGS = """
environments: {prod: {stage: Production}}
policy: {max_retirements: 1, max_retirement_share: 0}
"""

BODIES: dict[str, Any] = {
    "/api/v1/deployments/{deployment}/apply": {"adopt": True, "retry": True},
    "/api/v1/deployments/{deployment}/pause": {"reason": "a measurement"},
    "/api/v1/deployments/{deployment}/resume": None,
    "/api/v1/deployments/{deployment}/rollout/advance": {"candidate": "digest"},
    "/api/v1/deployments/{deployment}/rollout/abort": {"reason": "wrong labels"},
    "/api/v1/deployments/{deployment}/rollout/promote-now": {"reason": "an incident"},
    "/api/v1/deployments/{deployment}/queue/send": {"messages": [{"body": "{}"}]},
    "/api/v1/deployments/{deployment}/queue/peek": {"queue": "dead"},
    "/api/v1/deployments/{deployment}/queue/replay": {"all": True},
    "/api/v1/deployments/{deployment}/queue/create": {"kind": "classic"},
    "/api/v1/registry/accept": None,
    "/api/v1/reconcile": None,
    "/api/v1/upgrade": {"halt": True},
    "/api/v1/images/collect": {"names": ["e1"]},
}
"""A valid request of each route that asks for a token."""

WEBHOOK, FORM = "/webhooks/mlflow", "/live/deployments/{deployment}/try"
OTHERWISE = {WEBHOOK, FORM}
"""Routes that take another proof: MLflow's signature, and that our own page asks."""

READS = {"GET", "HEAD", "OPTIONS"}
QUEUE = queue_predictor().spec.queue.named("angler", "prod")


class Target:
    """A target that runs nothing, and counts what it is asked to change."""

    name, server = "local", ""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.stranger = ObjectChange(Act.CONFLICT, "Service", "angler-prod-v1", uid="u-1")

    def observe(self, _: str) -> Observed:
        return Observed({}, 1.0)

    def apply(self, *_: object) -> None:
        self.changed.append("apply")

    def collect(self, *_: object) -> None:
        self.changed.append("collect")

    def preview(self, _: object) -> Preview:
        return Preview((self.stranger,), digest="rendered")

    def environments(self, _: object) -> Inventory:
        return Inventory("here", (KeptEnvironment("e1", "e1", "l", "3.11", 1, 1.0, 1.0),))

    def tree(self, deployment: str) -> Node:
        return Node("ModelDeployment", deployment)

    def deployments(self) -> set[tuple[str, str]]:
        return set()

    def url(self, model: str, environment: str) -> str:
        return f"http://gateway/{environment}/{model}/"

    def logs(self, *_: object) -> str:
        return "a line\n"

    def close(self) -> None: ...


@dataclass
class Platform:
    """A Deployer's real loop, records and account, and its API."""

    home: Path
    controller: Controller
    target: Target
    app: FastAPI
    hints: list[str | None]

    @property
    def routes(self) -> list[tuple[str, str]]:
        return routes(self.app)

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": token} if token is not None else {}
        url = path.format(deployment=ID, name="page.js")
        return self.send(method, url, headers=headers, **more)

    def send(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, url, **more)

        return asyncio.run(send())

    def rolls_out(self) -> None:
        """Have a candidate take a share of the traffic."""
        version = VersionId("angler", 2, 2)
        candidate = Predictor("v2", version, Role.CHAMPION, "digest", "s", ServingSpec())
        record = Record(ID, "angler", "prod", candidate=Candidate(candidate, 1.0, 0, 1.0))
        self.controller.context.records.save(record)

    def bakes(self) -> None:
        """Have a champion whose predecessor is warm."""
        of = partial(Predictor, role=Role.CHAMPION, source="s", spec=ServingSpec())
        old = of("v1", VersionId("angler", 1, 1), digest="old")
        new = of("v2", VersionId("angler", 2, 2), digest="digest")
        record = Record(ID, "angler", "prod", draining=(Draining(old, keep_until=2e9),))
        self.controller.context.records.save(record.with_champion(new, 1.0))

    def answers_a_queue(self) -> None:
        """Have a champion that answers the messages of a queue."""
        self.controller.change(
            ID,
            lambda record: record.with_champion(queue_predictor(), 1.0),
            by_operator(ID, "test", SUBJECT),
        )

    def kept(self) -> Any:
        """All that a change would leave behind."""
        connection = sqlite3.connect(self.home / "deployer.db")
        tables = [
            connection.execute(query).fetchall()
            for query in (
                "SELECT * FROM records ORDER BY id",
                "SELECT * FROM memory ORDER BY name",
                "SELECT * FROM history ORDER BY sequence",
            )
        ]
        connection.close()
        return tables, list(self.target.changed), list(self.hints)


def queues() -> QueueWatch:
    broker: Any = MemoryBroker({name: [] for name in names_of(QUEUE).all})
    return QueueWatch(Brokers({"default": broker}, Loop()), list, {}, time.time)


def routes(app: Any) -> list[tuple[str, str]]:
    """Every method of every route; a mounted app or a socket would have to be looked at anew."""
    found = []
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is no plain route"
        found += [(method, route.path) for method in sorted(route.methods or ())]
    return found


BARE: Any = SimpleNamespace(metrics=Metrics(), context=None)
ALL = routes(api.make(BARE, Path("nowhere"), "", ["*"]))
CHANGES = [each for each in ALL if each[0] not in READS]
GUARDED = [each for each in CHANGES if each[1] not in OTHERWISE]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    (tmp_path / "platform.yaml").write_text(SETTINGS)
    settings = settings_of.load({})
    database, rest, target = (
        Database(tmp_path / "deployer.db"),
        RegistryClient("http://127.0.0.1:1"),
        Target(),
    )
    kept = Records(database)
    records = RecordStores(kept, {})
    records.save(Record(ID, "angler", "prod"))
    marker = RegistryIdentity(rest, kept, settings.platform_id)
    monkeypatch.setattr(marker, "check", lambda: None)
    registry = Registry(rest, marker.check)
    mirror = TagWriter(rest, kept, marker.advance)
    world: Any = ReconcileContext(
        settings, registry, Descriptions(registry, lambda *_: None), marker, records,
        History(database), mirror, Promoters(registry), {"prod": target}, time.time,  # type: ignore[dict-item]
        Judging(lambda _: None, time.time), EvidenceStore(database), queues(),
    )  # fmt: skip
    hints: list[str | None] = []

    def watch(changed: Any) -> Watch:
        made = Watch(registry, marker, ["prod"], lambda: False, changed, 0.1, 30, time.time)
        monkeypatch.setattr(made, "hint", hints.append)
        return made

    controller = Controller(world, watch, Metrics())
    controller.start()
    wait_for(controller.has_synced, "a look at the one on record")
    controller.close()  # from here on only requests change anything
    target.changed.clear()
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({hashlib.sha256(TOKEN.encode()).hexdigest(): SUBJECT}))
    app = api.make(controller, tokens, SECRET, ["here"])
    yield Platform(tmp_path, controller, target, app, hints)
    mirror.close()
    rest.close()
    database.close()


def test_every_route_that_changes_something_is_looked_at_here():
    assert {path for _, path in CHANGES} == {*BODIES, *OTHERWISE}


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_token_nothing_is_changed(platform, method, path):
    before = platform.kept()
    for token in (None, "", "Bearer", "Bearer  ", f"Basic {TOKEN}", TOKEN):
        answer = platform.ask(method, path, token, json=BODIES.get(path, {}))
        assert answer.status_code == 401
        assert answer.json()["error"] == "A change needs a token that names who asks."
    assert platform.kept() == before


@pytest.mark.parametrize(("method", "path"), [*GUARDED, ("POST", "/api/v1/no-such-thing")])
def test_nothing_is_read_of_one_who_shows_no_token(platform, method, path):
    read = []

    async def body():
        read.append(True)
        yield b"{"

    for token in (None, "Bearer wrong"):
        assert platform.ask(method, path, token, content=body()).status_code == 401
    assert not read


@pytest.mark.parametrize("path", [WEBHOOK, FORM, "/api/v1/deployments/{deployment}/pause"])
def test_a_body_that_is_too_large_is_not_read_to_its_end(platform, path):
    before, read = platform.kept(), []

    async def body():
        for _ in range(128):
            read.append(2**16)
            yield b" " * 2**16

    headers = {"authorization": f"Bearer {TOKEN}", "hx-request": "true"}
    answer = platform.send("POST", path.format(deployment=ID), headers=headers, content=body())
    assert answer.status_code == 413
    assert sum(read) <= guard.LARGEST + 2 * 2**16
    assert platform.kept() == before


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_with_a_wrong_token_nothing_is_changed_and_nothing_told_of_the_right_one(
    platform, method, path
):
    before = platform.kept()
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    wrong = (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), digest, SUBJECT, "\u00e9", "x" * 10_000)
    answers = [
        platform.ask(method, path, f"Bearer {each}".encode(), json=BODIES.get(path, {}))
        for each in wrong
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1, "each wrong one is told the same"
    said = str(answers[0].headers) + answers[0].text
    assert not [word for word in (TOKEN, digest, SUBJECT) if word in said]
    assert platform.kept() == before


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_with_a_token_it_is_done_and_the_history_says_by_whom(platform, method, path):
    if "/rollout/" in path:
        platform.rolls_out()
    if "/queue/" in path:
        platform.answers_a_queue()
    before = len(platform.kept()[0][2])
    answer = platform.ask(method, path, f"Bearer {TOKEN}", json=BODIES[path])
    assert answer.status_code == 200, answer.text
    history = platform.kept()[0][2]
    assert len(history) > before
    assert {row[8] for row in history[before:]} == {SUBJECT}


@pytest.mark.parametrize("what", ["advance", "abort", "promote-now"])
def test_an_order_for_another_rollout_changes_nothing_and_says_so(platform, what):
    path = f"/api/v1/deployments/{{deployment}}/rollout/{what}"

    def ordered(candidate: str) -> httpx.Response:
        body = {"candidate": candidate, "reason": "an incident"}
        return platform.ask("POST", path, f"Bearer {TOKEN}", json=body)

    before = platform.kept()
    assert ordered("").status_code == 409
    assert "nothing was changed" in ordered("").json()["error"]
    assert platform.kept() == before
    platform.rolls_out()
    before = platform.kept()
    assert "No such rollout" in ordered("another").json()["error"]
    assert platform.kept() == before
    assert ordered("digest").status_code == 200
    record = platform.controller.context.records.load(ID, "prod")
    if what == "advance":
        assert record.candidate.released == 0
        assert ordered("digest").status_code == 200, "twice is as good as once"
    elif what == "promote-now":
        assert record.candidate.hurried
    else:
        assert record.candidate is None
        assert record.failures["digest"].reason == "Aborted"


def test_an_order_while_a_champion_bakes_is_about_its_predecessor(platform):
    def ordered(what: str, candidate: str) -> httpx.Response:
        path = f"/api/v1/deployments/{{deployment}}/rollout/{what}"
        return platform.ask("POST", path, f"Bearer {TOKEN}", json={"candidate": candidate})

    platform.bakes()
    before = platform.kept()
    assert "No such rollout" in ordered("abort", "another").json()["error"]
    assert "is not ready: nothing was changed" in ordered("abort", "digest").json()["error"]
    assert platform.kept() == before
    assert ordered("advance", "digest").status_code == 200
    (left,) = platform.controller.context.records.load(ID, "prod").draining
    assert left.keep_until is None
    assert ordered("advance", "digest").status_code == 409, "there is no bake any more"


def test_the_evidence_of_a_rollout_is_shown_and_judged_once_more(platform):
    path = "/api/v1/deployments/{deployment}/evidence"
    assert platform.ask("GET", path).json() == {"replayed": [], "steps": []}
    again = f"{path}?with=errors.worse_by%3D1pp"
    assert platform.ask("GET", again).status_code == 404
    trial = Trial(ID, "digest", 100, "policy")
    steps = [{"weight": 50, "require": "no_harm"}, 100]
    spec = ServingSpec.model_validate({"rollout": {"steps": steps}})
    said = Verdict("digest", "old", "policy", 0, 100.0, 110.0, Outcome.PASS, (), "no harm", 200)
    platform.controller.context.evidence.note(trial, 0, 110.0, {
        "version": "2", "baseline_version": "1", "verdict": asdict(said),
        "spec": spec.model_dump(mode="json", include={"rollout", "analysis"}),
    })  # fmt: skip
    (step,) = platform.ask("GET", path).json()["steps"]
    assert (step["version"], step["weight"], step["require"]) == ("2", 50, "no_harm")
    assert step["judgement"]["message"] == "no harm"
    window = Window(10, 10, Arm(200), Arm(200))
    platform.controller.context.evidence.append(trial, [(0, window)])
    found = platform.ask("GET", f"{path}?with=min_requests%3D500").json()
    assert found["replayed"] == ["min_requests=500"]
    assert found["steps"][0]["judgement"]["outcome"] == "no_data"
    wrong = platform.ask("GET", f"{path}?with=speed%3D1")
    assert wrong.status_code == 400, wrong.text
    assert "analysis.metrics has no metric 'speed'" in wrong.json()["error"]


def test_a_file_of_tokens_that_holds_no_hash_of_it_lets_nobody_in(platform):
    for text in ("", "[]", "{", "null", '{"\u00e9": 1}', f'{{"{TOKEN}": "ada"}}'):
        (platform.home / "tokens.json").write_text(text)
        assert platform.ask("POST", "/api/v1/reconcile", f"Bearer {TOKEN}").status_code == 401
    (platform.home / "tokens.json").unlink()
    assert platform.ask("POST", "/api/v1/reconcile", f"Bearer {TOKEN}").status_code == 401


def test_a_token_is_compared_in_constant_time(platform, monkeypatch):
    others = {hashlib.sha256(f"{n}".encode()).hexdigest(): f"user-{n}" for n in range(3)}
    mine = json.loads((platform.home / "tokens.json").read_text())
    (platform.home / "tokens.json").write_text(json.dumps(mine | others))
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return real(known, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in (TOKEN, "wrong"):
        compared.clear()
        platform.ask("POST", "/api/v1/reconcile", f"Bearer {token}")
        assert sorted(compared) == sorted(key.encode() for key in mine | others)


def test_what_is_asked_of_a_registry_that_is_away_is_in_the_history_too(platform, monkeypatch):
    monkeypatch.undo()
    path = "/api/v1/registry/accept"
    assert platform.ask("POST", path, f"Bearer {TOKEN}").status_code == 503
    [row] = [row for row in platform.kept()[0][2] if row[4] == "accept registry"]
    assert row[8] == SUBJECT


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, Any]:
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), f"d1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "x-mlflow-delivery-id": "d1",
        "x-mlflow-timestamp": stamp,
        "x-mlflow-signature": "v1," + base64.b64encode(digest).decode(),
    }


def test_a_webhook_is_a_hint_only_if_mlflow_signed_it(platform):
    body = json.dumps({"data": {"name": "angler"}}).encode()
    before = platform.kept()
    unsigned: list[dict[str, Any]] = [
        {},
        {"authorization": f"Bearer {TOKEN}"},
        signed(body, "another"),
        signed(body + b" "),
        signed(body, at=time.time() - 3600),
        signed(body) | {"x-mlflow-signature": b"v1,\xe9"},
        signed(body) | {"x-mlflow-timestamp": b"\xb2"},
    ]
    for headers in unsigned:
        answer = platform.send("POST", WEBHOOK, content=body, headers=headers)
        assert answer.status_code == 401, headers
        assert SECRET not in answer.text
    assert platform.kept() == before
    assert platform.send("POST", WEBHOOK, content=body, headers=signed(body)).status_code == 200
    assert platform.hints == ["angler"]


def test_the_page_s_form_asks_the_model_and_changes_nothing_of_the_platform(platform, monkeypatch):
    asked: list[tuple[str, str]] = []

    def ask(*what: str) -> tryit.Answer:
        asked.append((what[0], what[1]))
        return tryit.Answer(200, "[1]")

    monkeypatch.setattr(tryit, "ask", ask)
    before = platform.kept()
    path = FORM.format(deployment=ID)
    for headers in ({}, {"HX-Request": "false"}, {"Authorization": f"Bearer {TOKEN}"}):
        form = {"input": "{}"}
        assert platform.send("POST", path, data=form, headers=headers).status_code == 403
    assert not asked
    ours = {"HX-Request": "true"}
    assert platform.send("POST", path, data={"input": "{}"}, headers=ours).status_code == 200
    assert asked == [("http://gateway/prod/angler/", "{}")]
    assert platform.kept() == before


def test_what_only_reads_changes_nothing(platform):
    platform.answers_a_queue()
    version = VersionId("angler", 1, 1)
    spoilt = Description("models:/m", None, "serving.yaml: replicas is no number.", "Correct it.")
    promotions = (Promotion(version, "stage Production", 1, 1.0),)
    record = Record(ID, "angler", "prod", promotions=promotions, descriptions={version.key: spoilt})
    platform.controller.context.records.save(record)
    before = platform.kept()
    reads = [each for each in platform.routes if each[0] in READS]
    assert len(reads) > 20
    for method, path in reads:
        answer = platform.ask(method, path)
        assert answer.status_code in (200, 204, 503), f"{method} {path}: {answer.text}"
        assert platform.kept() == before, f"{method} {path} changes something"


def test_a_plan_that_is_looked_at_takes_nobody_s_turn_to_be_retired(platform):
    now = time.time()
    times = [now]
    world = replace(platform.controller.context, clock=lambda: times[-1])
    reconciler = Reconciler(world, threading.Event(), set)
    gone = Absence(now - 7200, 9, now)
    first, second = (
        replace(served(), id=f"{model}-prod", model=model, promotions=(), absence=gone)
        for model in ("one", "two")
    )
    world.registry._snapshot = RegistrySnapshot({}, now, frozenset({"one", "two"}))
    world.records.save(first)
    plan, _ = reconciler.preview(Key("one-prod", "one", "prod"))
    assert plan.held_by is None
    # It is promoted again before a pass retires it; then the other one is to go.
    world.records.save(replace(first, absence=None).with_champion(None))
    world.records.save(second)
    times.append(now + LOOK_SECONDS + 1)
    done = reconciler.run(Key("two-prod", "two", "prod"), None)
    assert not done.error
    assert done.status.verdict.reason != "TooManyRetirements"
    assert world.records.load("two-prod", "prod").champion is None
