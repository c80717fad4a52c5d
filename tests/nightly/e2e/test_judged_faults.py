"""Real processes whose counts cannot be had or relied on: no rollout goes on, and none is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.load import Load
from support.models import log_models
from support.platform.home import PlatformHome
from support.run.ports import free_port

from stack.components.status import platform_supervisor
from stack.paths import Layout

pytestmark = pytest.mark.timeout(1800)

SPEC: dict[str, Any] = {
    "rollout": {"steps": [{"weight": 30, "require": "no_harm", "pause": True}, 100]},
    "analysis": {"warmup": 0, "min_requests": 50, "baseline": "twin"},
}
ROW = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}'


@pytest.fixture(scope="module")
def platform(make_platform: Any) -> PlatformHome:
    made: PlatformHome = make_platform("faults")
    made.up("mlflow", "gateway", "deployer")
    kind = {"name": "shaky", "kind": "constant", "serving": SPEC}
    log_models(made.url("mlflow"), [kind | {"say": number} for number in (1, 2)])
    made.mlflow.stage("shaky", 1, "Production")
    made.wait_serving("shaky", 1)
    return made


@pytest.fixture
def rollout(platform: PlatformHome) -> Iterator[Load]:
    """Version 2 beside version 1 and its twin, judged under load, and waiting for an operator."""
    with Load(platform.deployment("shaky")["url"], rate=60, body=ROW) as load:
        platform.mlflow.stage("shaky", 2, "Production")
        platform.wait("shaky", passes)
        yield load
        platform.mlflow.stage("shaky", 2, "None")
        platform.wait("shaky", lambda d: d["rollout"] is None and len(d["predictors"]) == 1)


def judgement(seen: dict[str, Any]) -> dict[str, Any]:
    return ((seen["rollout"] or {}).get("judgement")) or {}


def passes(seen: dict[str, Any]) -> bool:
    return judgement(seen).get("outcome") == "pass" and seen["rollout"]["step"] == 0


def server(platform: PlatformHome, version: str, role: str = "champion") -> Path:
    """The configuration of a predictor's last start."""
    [name] = [
        one["name"]
        for one in platform.deployment("shaky")["predictors"]
        if (one["version"], one["role"]) == (version, role)
    ]
    return platform.home / "serving/predictors" / name / "predictor.json"


@contextmanager
def changed(file: Path, **values: Any) -> Iterator[dict[str, Any]]:
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | values))
    try:
        yield json.loads(before)
    finally:
        file.write_text(before)


def test_windows_that_nobody_can_read_are_no_data_until_they_can(
    platform: PlatformHome, rollout: Load
) -> None:
    with changed(server(platform, "2"), admin_port=free_port()):
        seen = platform.wait("shaky", lambda d: judgement(d).get("outcome") == "no_data")
        assert judgement(seen)["message"] == "not every replica was read for 30 s"
        assert seen["rollout"]["step"] == 0
    platform.wait("shaky", passes)
    assert not rollout.failed, rollout.failed[:3]


def test_requests_past_the_gateway_make_the_counts_unreliable(
    platform: PlatformHome, rollout: Load
) -> None:
    port = json.loads(server(platform, "2").read_text())["port"]
    with Load(f"http://127.0.0.1:{port}/", rate=60, body=ROW):
        seen = platform.wait("shaky", lambda d: d["reason"] == "SplitNotAsAsked")
        assert judgement(seen)["outcome"] == "no_data"
        assert "and not 50 %" in judgement(seen)["message"]


def test_evidence_that_is_lost_is_read_anew_as_far_as_the_servers_have_it(
    platform: PlatformHome, rollout: Load
) -> None:
    with closing(sqlite3.connect(platform.home / "deployer" / "deployer.db", timeout=30)) as kept:
        kept.execute("DELETE FROM evidence")
        kept.commit()
    killed, asked_at = _deployer(platform), time.time()
    os.kill(killed, signal.SIGKILL)
    seen = platform.wait("shaky", lambda d: passes(d) and until(d) > asked_at)
    assert _deployer(platform) != killed
    assert judgement(seen)["requests"] >= 50
    assert seen["rollout"]["step"] == 0
    assert not rollout.failed, rollout.failed[:3]


def until(seen: dict[str, Any]) -> float:
    """The end of the last window that a verdict rests on."""
    return datetime.fromisoformat(judgement(seen)["until"]).timestamp()


def test_a_twin_that_is_killed_costs_the_steps_and_what_was_on_its_way_to_it(
    platform: PlatformHome, rollout: Load
) -> None:
    pid = next(p["pid"] for p in platform.deployment("shaky")["predictors"] if p["role"] == "twin")
    os.kill(pid, signal.SIGKILL)
    platform.wait("shaky", lambda d: d["rollout"]["step"] == -1)
    seen = platform.wait("shaky", passes)
    assert seen["serving"]["version"] == "1"
    assert {answer.status for answer in rollout.failed} <= {502, 503}
    assert {answer.status for answer in rollout.answers[-20:]} == {200}


def _deployer(platform: PlatformHome) -> int:
    pid = platform_supervisor(Layout(platform.home)).processes()["deployer"].pid
    assert pid
    return pid
