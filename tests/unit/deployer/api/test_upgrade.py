"""What is told of an upgrade of the platform, and a person's halt, which outlives the Deployer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deployer.api import upgrade
from deployer.config import settings
from deployer.controller.context import upgrading
from deployer.errors import SettingsInvalid
from deployer.operator.commands import Commands
from deployer.operator.queries import Queries
from deployer.registry.client import RegistryClient
from deployer.registry.identity import RegistryIdentity
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Failure, Pause, Promotion, Record
from deployer.state.registry import VersionId
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.router import RecordStores
from deployer.store.sqlite import Database

OLD, NEW = "0.1.0 model-server:1", "0.2.0 model-server:2"
SETTINGS = """
environments:
  dev: {stage: Staging}
  prod: {alias: champion}
policy: {upgrade_share: 0.5}
"""


def record(model: str, environment: str, server: str = OLD, **fields: Any) -> Record:
    version = VersionId(model, 1, 1)
    serving = Predictor(
        f"{model}-v1", version, Role.CHAMPION, "d", "s", ServingSpec(), server=server
    )
    promoted = (Promotion(version, "alias champion", 1, 1.0),)
    record = Record(f"{model}-{environment}", model, environment, promotions=promoted)
    return replace(record.with_champion(serving), server=server, **fields)


@dataclass
class Platform:
    """A Deployer's world with real records and a real account, and its routes of upgrades."""

    context: Any
    app: FastAPI
    looks: int = 0
    unusable: set[str] = field(default_factory=set)

    def statuses(self) -> list[Any]:
        return [
            SimpleNamespace(record=one, verdict=SimpleNamespace(message=f"{one.model} is told of."))
            for one in self.context.records.all()
        ]

    def invalid(self) -> frozenset[str]:
        return frozenset(self.unusable)

    def resync(self) -> None:
        self.looks += 1

    def have(self, *records: Record) -> None:
        for one in records:
            self.context.records.save(one)

    def told(self) -> Any:
        return self._ask("GET")

    def halt(self, halt: bool) -> Any:
        return self._ask("POST", {"halt": halt})

    def states(self) -> dict[str, str]:
        return {one["deployment"]: one["state"] for one in self.told()["deployments"]}

    def _ask(self, method: str, body: Any = None) -> Any:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, "/api/v1/upgrade", json=body)

        answer = asyncio.run(ask())
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    (tmp_path / "platform.yaml").write_text(SETTINGS)
    database = Database(tmp_path / "deployer.db")
    rest = RegistryClient("http://127.0.0.1:1")  # nobody is there
    context = _context(database, rest)
    app = FastAPI()
    made = Platform(context, app)
    controller: Any = made
    upgrade.add(app, Queries(controller), Commands(controller), lambda: "ada")
    yield made
    rest.close()
    database.close()


def _context(database: Database, rest: RegistryClient) -> Any:
    kept = Records(database)
    return SimpleNamespace(
        settings=settings.load({}),
        records=RecordStores(kept, {}),
        identity=RegistryIdentity(rest, kept, "p1"),
        history=History(database),
        targets={name: SimpleNamespace(server=NEW) for name in ("dev", "prod")},
        clock=lambda: 100.0,
    )


def test_the_plan_says_who_moves_now_and_in_which_batch_the_others_do(platform):
    platform.have(record("a", "prod"), record("b", "prod"), record("c", "prod"), record("z", "dev"))
    told = platform.told()
    assert [(m["deployment"], m["state"], m["batch"]) for m in told["deployments"]] == [
        ("z-dev", "now", 1),
        ("a-prod", "waiting", 2),
        ("b-prod", "waiting", 3),
        ("c-prod", "waiting", 4),
    ]
    assert (told["state"], told["batches"], told["done"]) == ("Progressing", 4, 0)
    assert told["environments"] == [
        {"environment": "dev", "version": NEW},
        {"environment": "prod", "version": NEW},
    ]
    assert {(m["from"], m["to"]) for m in told["deployments"]} == {(OLD, NEW)}
    assert told["next_step"] == "schnitzel platform upgrade --wait"


def test_one_that_failed_is_told_with_the_reason_and_the_command_that_tries_again(platform):
    failure = Failure("ImageMissing", "The server image is not there.", "", 1.0)
    broken = record("fraud score", "dev", server=OLD, failures={"d2": failure})
    platform.have(replace(broken, server=NEW), record("a", "prod"))
    told = platform.told()
    failed, waiting = told["deployments"]
    assert told["state"] == "Failed"
    assert "1 could not be served on it, so that 1 more do not begin" in told["message"]
    assert failed["state"] == "failed"
    assert failed["why"] == "ImageMissing: The server image is not there."
    assert failed["next_step"] == "schnitzel deploy apply 'fraud score' -e dev --retry"
    assert waiting["state"] == "waiting"
    for command in (failed["next_step"], "schnitzel deploy pause 'fraud score' -e dev"):
        assert command in told["next_step"]


def test_a_halt_is_kept_over_a_restart_and_says_who_and_when(platform, tmp_path):
    platform.have(record("a", "prod"))
    told = platform.halt(True)
    assert told["state"] == "Halted"
    assert told["halted"] == {"by": "ada", "at": "1970-01-01T00:01:40.000+00:00"}
    assert told["next_step"] == "schnitzel platform upgrade --resume"
    assert platform.states() == {"a-prod": "waiting"}
    database, rest = Database(tmp_path / "deployer.db"), RegistryClient("http://127.0.0.1:1")
    again = upgrading(_context(database, rest), ())
    rest.close()
    database.close()
    assert not again.moving
    told = platform.halt(False)
    assert (told["state"], told["halted"]) == ("Progressing", None)
    assert platform.states() == {"a-prod": "now"}
    assert platform.looks == 2


def test_the_account_has_each_word_once_and_who_said_it(platform):
    for halt in (True, True, False, False):
        platform.halt(halt)
    events = platform.context.history.of("")
    assert [(event["action"], event["who"]) for event in events] == [
        ("halt upgrade", "ada"),
        ("resume upgrade", "ada"),
    ]


def test_a_halt_with_nothing_to_move_says_that_it_is_in_force(platform):
    platform.have(record("a", "prod", server=NEW))
    told = platform.halt(True)
    assert (told["state"], told["deployments"]) == ("Done", [])
    assert "the next upgrade waits" in told["message"]
    assert told["next_step"] == "schnitzel platform upgrade --resume"


def test_nothing_moves_while_the_registry_is_frozen(platform):
    platform.have(record("a", "prod"))
    platform.context.identity.freeze("it went back in time")
    told = platform.told()
    assert told["state"] == "Frozen"
    assert platform.states() == {"a-prod": "waiting"}
    assert "schnitzel registry accept" in told["next_step"]


def test_what_is_paused_or_promoted_by_nothing_is_told_and_not_waited_for(platform):
    paused = record("a", "prod", pause=Pause("bob", 1.0, "a measurement"))
    platform.have(paused, record("b", "prod", promotions=()), record("c", "prod", server=NEW))
    told = platform.told()
    assert told["state"] == "Done"
    first, second = told["deployments"]
    assert (first["state"], first["why"]) == ("paused", "paused by bob: a measurement")
    assert first["next_step"] == told["next_step"] == "schnitzel deploy resume a -e prod"
    assert (second["state"], second["batch"]) == ("unpromoted", None)
    assert second["next_step"] == "schnitzel model promote b@VERSION --to prod"


def test_one_whose_spec_cannot_be_used_is_told_in_its_status_own_words_and_not_waited_for(platform):
    platform.have(replace(record("a", "prod"), server=NEW), record("b", "prod"))
    platform.unusable.add("a-prod")
    told = platform.told()
    first, second = told["deployments"]
    assert (first["state"], first["batch"], first["why"]) == ("invalid", None, "a is told of.")
    assert first["next_step"] == "schnitzel deploy status a -e prod"
    assert second["state"] == "now"
    platform.have(record("b", "prod", server=NEW))
    told = platform.told()
    assert (told["state"], told["next_step"]) == ("Done", first["next_step"])


def test_one_on_its_way_is_told_of_in_its_status_own_words(platform):
    moving = replace(record("a", "prod"), server=NEW)
    platform.have(moving)
    [move] = platform.told()["deployments"]
    assert (move["state"], move["why"]) == ("moving", "a is told of.")
    assert platform.halt(True)["message"].endswith("1 on the way finish, and no other begins.")


def test_an_operator_puts_environments_in_order_and_a_stranger_among_them_is_refused(
    platform, tmp_path
):
    def order(named: str) -> list[str]:
        (tmp_path / "platform.yaml").write_text(SETTINGS.replace("0.5", f"0.5, {named}"))
        platform.context.settings = settings.load({})
        return [each["environment"] for each in platform.told()["environments"]]

    assert order("upgrade_order: []") == ["dev", "prod"]
    assert order("upgrade_order: [prod]") == ["prod", "dev"]
    with pytest.raises(SettingsInvalid, match="upgrade_order has 'qa', and environments has 'dev'"):
        order("upgrade_order: [qa]")
