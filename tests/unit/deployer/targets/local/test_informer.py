"""What one look at this machine reports as changed, against the look before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.world import served

from deployer.state.predictor import Predictor
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.gateway import STEADY_SECONDS, Gateway
from deployer.targets.local.informer import LocalInformer
from deployer.targets.local.processes import ALIVE_SECONDS, Processes
from deployer.targets.local.removal import Removals
from stack.errors import SupervisorUnavailable
from stack.files import write_private
from stack.supervision.supervisor import Process, Supervisor

NAMES = ("angler", "baker", "carver")


class Machine:
    """Three deployments at rest: their folders and routes, and what runs of them and is live."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.folder = folder
        self.told: list[str] = []
        self.unseen = self.silent = False
        self.listed = 0
        self.known: dict[str, Process] = {}
        self.live: dict[str, int] = {}
        self.files = PredictorFiles(folder / "predictors", "here")
        self.gateway = Gateway(folder / "routes", "http://g", "http://g", timer=lambda: self.now)
        self.gateway._client = httpx.Client(
            base_url="http://g", transport=httpx.MockTransport(self._answer)
        )
        self.removals = Removals(Supervisor(folder, "x"), self.files, lambda _: None)
        processes = Processes(self, timer=lambda: self.now)
        self.informer = LocalInformer(
            self.files, processes, self.gateway, self.removals, self.told.append
        )
        for name in NAMES:
            self.serve(name)

    def serve(self, name: str) -> Predictor:
        champion = served().champion
        assert champion is not None
        predictor = replace(champion, name=f"{name}-prod-v1-1a2b3c4d")
        definition = self.files.define(f"{name}-prod", name, "prod", predictor)
        self.files.configure(definition, predictor.name, self.folder, self.folder)
        self.state(name, "ready")
        shares = {predictor.name: (self.files.ports(predictor), 100)}
        self.gateway.route(f"{name}-prod", name, "prod", shares)
        self.known[predictor.name] = Process(predictor.name, "RUNNING", 1, 1.0, None, "uptime 0")
        self.live[predictor.name] = 100
        # The kernel's clock for files stands still for milliseconds; what changes now is later.
        os.utime(self.files.folder(predictor.name), (1, 1))
        return predictor

    def state(self, name: str, phase: str) -> None:
        file = self.files.state_file(f"{name}-prod-v1-1a2b3c4d")
        write_private(file, json.dumps({"phase": phase, "pid": 1}))

    def look(self) -> list[str]:
        """Look once, after a while; returns what was reported."""
        self.now += max(ALIVE_SECONDS, STEADY_SECONDS) + 0.1
        self.told.clear()
        self.informer.look()
        return list(self.told)

    def ensure(self) -> bool:
        raise AssertionError("a look starts nothing")

    def listens(self) -> bool:
        return not self.unseen

    def mark(self) -> object:
        return (self.unseen, sorted(self.known.items(), key=str))

    def processes(self) -> dict[str, Process]:
        if self.unseen:
            raise SupervisorUnavailable("Nobody listens.", "schnitzel up")
        return dict(self.known)

    def _answer(self, _: httpx.Request) -> httpx.Response:
        if self.silent:
            raise httpx.ConnectError("refused")
        return httpx.Response(
            200,
            json=[
                {
                    "name": f"{name.partition('-v1')[0]}@file",
                    "weighted": {"services": [{"name": name, "weight": weight}]},
                }
                for name, weight in self.live.items()
            ],
        )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.look()
    yield made
    made.gateway.close()


BAKER = "baker-prod-v1-1a2b3c4d"


def of_baker(machine: Machine, **changes: Any) -> None:
    machine.known[BAKER] = replace(machine.known[BAKER], **changes)


CHANGES: dict[str, Callable[[Machine], object]] = {
    "its process died": lambda m: of_baker(m, state="BACKOFF", pid=None, started=None),
    "its process is another": lambda m: of_baker(m, pid=2, started=2.0),
    "its program is gone": lambda m: m.known.pop(BAKER),
    "its state": lambda m: m.state("baker", "unready"),
    "its state is lost": lambda m: m.files.state_file(BAKER).unlink(),
    "its configuration": lambda m: write_private(m.files.config_file(BAKER), "{}"),
    "its folder is gone": lambda m: m.files.remove(BAKER),
    "its route is gone": lambda m: (m.folder / "routes" / "baker-prod.yaml").unlink(),
    "its route is another": lambda m: (m.folder / "routes" / "baker-prod.yaml").write_text("x"),
    "its live weight": lambda m: m.live.update({BAKER: 50}),
    "nothing of it is live": lambda m: m.live.pop(BAKER),
    "its removal began": lambda m: m.removals._names.add(BAKER),
}


def test_the_first_look_reports_all_of_them(tmp_path):
    assert Machine(tmp_path).look() == [f"{name}-prod" for name in NAMES]


def test_at_rest_a_look_reports_nothing(machine):
    of_baker(machine, message="uptime 1")
    machine.files.remove("nobody")
    (machine.folder / "routes" / "somebody.yaml").write_text("http: {}")
    machine.live["somebody-v1"] = 1
    assert [machine.look() for _ in range(20)] == [[]] * 20


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_reported_of_its_own_deployment_and_once(machine, what):
    CHANGES[what](machine)
    assert machine.look() == ["baker-prod"]
    assert machine.look() == []


def test_a_removal_that_failed_is_reported(machine):
    machine.removals._names.add(BAKER)
    machine.look()
    machine.removals._names.discard(BAKER)
    assert machine.look() == ["baker-prod"]


def test_what_cannot_be_seen_is_reported_of_all_and_again_when_it_can(machine):
    everybody = [f"{name}-prod" for name in NAMES]
    for part in ("unseen", "silent"):
        setattr(machine, part, True)
        assert machine.look() == everybody
        assert machine.look() == []
        setattr(machine, part, False)
        assert machine.look() == everybody
        assert machine.look() == []


def test_where_nothing_is_served_nobody_is_asked(tmp_path):
    machine = Machine(tmp_path)
    for name in NAMES:
        machine.files.remove(f"{name}-prod-v1-1a2b3c4d")
    machine.unseen = machine.silent = True
    assert machine.look() == []
