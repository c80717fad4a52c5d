"""Killed anywhere, it converges: the Deployer at each edge of a rollout, and what is beside it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from killed_deployer import EDGES
from models import log_models
from platform_home import Load, alive_with
from processes import Running, wait_for

pytestmark = pytest.mark.e2e

KILLED = Path(__file__).parents[1] / "support" / "killed_deployer.py"
STEPS = [
    (f"{owner.__name__}.{name}", when) for owner, name in EDGES for when in ("before", "after")
]


@pytest.fixture(scope="module")
def crashing(make_platform):
    """MLflow and the gateway run; each test runs Deployers of its own."""
    platform = make_platform("crashing")
    platform.up("mlflow", "gateway", "deployer")
    log_models(platform.url("mlflow"), [{"name": "phoenix", "kind": "constant", "say": s}
                                        for s in (1, 2)])  # fmt: skip
    platform.mlflow.stage("phoenix", 1, "Production")
    platform.wait_serving("phoenix", 1, seconds=240)
    return platform


def supervisor_pid(folder: Path) -> int:
    return int((folder / "supervisord.pid").read_text())


def supervised(platform, *words: str) -> None:
    """Stop or start the Deployer of the platform's own supervisord."""
    from stack.platform import Layout, platform_supervisor

    supervisor = platform_supervisor(Layout(platform.home))
    if words == ("stop",):
        supervisor.remove("deployer", grace=6)


def deployer_env(platform) -> dict[str, str]:
    return platform.env | {
        "SCHNITZEL_MLFLOW__URL": platform.url("mlflow"),
        "SCHNITZEL_GATEWAY__URL": platform.url("gateway"),
        "SCHNITZEL_GATEWAY__API_URL": platform.url("gateway_api"),
    }


@pytest.mark.timeout(900)
def test_killed_at_each_edge_of_a_rollout_it_converges_and_loses_no_request(crashing):
    platform = crashing
    url = platform.deployment("phoenix")["url"]
    supervised(platform, "stop")
    try:
        serving = killed_at_each_edge(platform, url)
    finally:
        platform.up("mlflow", "gateway", "deployer")
    platform.wait_serving("phoenix", serving)
    fronts = [
        pid for pid in alive_with(str(platform.home / "serving" / "predictors"))
        if b"-m\0serving" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]  # fmt: skip
    assert len(fronts) == 1, "an orphan serves on"


def killed_at_each_edge(platform, url: str) -> int:
    """One rollout for each edge, back and forth; returns the version that serves in the end."""
    env = deployer_env(platform)
    log = platform.home / "logs" / "killed.log"
    folder = platform.home / "serving" / "predictors"
    serving = 1
    with Load(url, rate=20, connections=2) as load:
        for edge, when in STEPS:
            serving = 3 - serving
            platform.mlflow.stage("phoenix", serving, "Production", archive=True)
            killed = Running([sys.executable, str(KILLED), edge, when], log, env)
            try:
                ended = killed.process.poll
                wait_for(
                    lambda ended=ended: ended() is not None, f"its end {when} {edge}", 60, 0.02
                )
                assert killed.process.poll() == -signal.SIGKILL, f"not killed {when} {edge}"
            finally:
                killed.stop()
            whole = Running([sys.executable, "-m", "deployer", "run"], log, env)
            try:
                platform.wait_serving("phoenix", serving)
                platform.wait("phoenix", lambda d: len(d["predictors"]) == 1)
                wait_for(
                    lambda: len(list(folder.iterdir())) == 1,
                    f"nothing to be left over after {when} {edge}",
                    20,
                )
            finally:
                whole.stop()
            assert not load.failed, f"lost {when} {edge}: {load.failed[:3]}"
    return serving


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
