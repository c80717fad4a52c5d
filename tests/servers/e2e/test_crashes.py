"""What is beside the Deployer is killed, and all converges; the Deployer itself: tests/contract."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.models import log_models
from support.platform.home import alive_with
from support.run.wait import wait_for


@pytest.fixture(scope="module")
def crashing(make_platform):
    """A platform of its own, that serves version 1 of phoenix."""
    platform = make_platform("crashing")
    platform.up("mlflow", "gateway", "deployer")
    log_models(platform.url("mlflow"), [{"name": "phoenix", "kind": "constant", "say": s}
                                        for s in (1, 2)])  # fmt: skip
    platform.mlflow.stage("phoenix", 1, "Production")
    platform.wait_serving("phoenix", 1, seconds=240)
    return platform


def supervisor_pid(folder: Path) -> int:
    return int((folder / "supervisord.pid").read_text())


def test_a_killed_gateway_is_back_in_seconds_with_its_routes(crashing):
    from stack.platform import Layout, platform_supervisor

    platform = crashing
    url = platform.deployment("phoenix")["url"]
    gateway = platform_supervisor(Layout(platform.home)).processes()["gateway"]
    os.kill(gateway.pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            return platform.predict(url).status_code == 200
        except OSError:
            return False
        except Exception as error:
            if type(error).__module__.startswith("httpx"):
                return False
            raise

    wait_for(answers, "the gateway to answer again", 20)


def pids(deployment: dict[str, Any]) -> list[int]:
    return [one["pid"] for one in deployment["predictors"]]


@pytest.mark.parametrize("which", ["serving", "run"])
def test_a_killed_supervisord_is_recovered_without_strays(crashing, which):
    platform = crashing
    url = platform.deployment("phoenix")["url"]
    known = platform.deployment("phoenix")
    serving = int(known["serving"]["version"])
    before = supervisor_pid(platform.home / which)
    os.kill(before, signal.SIGKILL)
    if which == "run":
        platform.up("mlflow", "gateway", "deployer")
    seen = platform.wait("phoenix", lambda d: d["reason"] in ("Restarting", "Ready"))
    wait_for(lambda: supervisor_pid(platform.home / which) != before, "a new supervisord", 30)
    platform.wait("phoenix", lambda d: d["observed_at"] > known["observed_at"])
    if which == "serving":
        platform.wait("phoenix", lambda d: pids(d) not in ([], pids(known)))
    seen = platform.wait_serving("phoenix", serving)
    wait_for(lambda: platform.predict(url).status_code == 200, "an answer", 20)
    [predictor] = seen["predictors"]
    servers = [
        pid for pid in alive_with(str(platform.home))
        if b"-m\0serving" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]  # fmt: skip
    assert servers == [predictor["pid"]]


def test_a_version_that_died_at_load_is_tried_again_by_itself(crashing, tmp_path):
    mlflow, trouble = crashing.mlflow, tmp_path / "trouble"
    trouble.touch()
    dies = {"kind": "dies-at-load", "say": 2, "path": str(trouble)}
    models = [{"name": "patient"} | how for how in ({"kind": "constant"}, dies)]
    log_models(crashing.url("mlflow"), models)
    mlflow.stage("patient", 1, "Production")
    url = crashing.wait_serving("patient", 1)["url"]
    mlflow.stage("patient", 2, "Production")
    crashing.wait("patient", lambda d: d["state"] == "Degraded")
    assert crashing.predict(url).json() == {"predictions": [1]}
    trouble.unlink()
    crashing.wait_serving("patient", 2)
    assert crashing.predict(url).json() == {"predictions": [2]}
