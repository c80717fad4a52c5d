"""What is beside the Deployer is killed, or all at once; the Deployer itself: tests/contract."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.models import log_models
from support.platform.home import PlatformHome, alive_with
from support.run.process import lives
from support.run.wait import wait_for

from stack.platform import Layout, platform_supervisor
from stack.supervision.processes import entry

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def crashing(make_platform):
    """A platform of its own, that serves version 1 of phoenix."""
    platform = make_platform("crashing")
    platform.up("mlflow", "gateway", "deployer")
    log_models(platform.url("mlflow"), [{"name": "phoenix", "kind": "constant", "say": 1}])
    platform.mlflow.stage("phoenix", 1, "Production")
    platform.wait_serving("phoenix", 1, seconds=240)
    return platform


def supervisor_pid(folder: Path) -> int:
    return int((folder / "supervisord.pid").read_text())


def test_a_killed_gateway_is_another_process_with_the_same_routes(crashing):
    platform = crashing
    url = platform.deployment("phoenix")["url"]
    supervisor = platform_supervisor(Layout(platform.home))
    killed = supervisor.processes()["gateway"].pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not lives(killed), "its death")

    def answers() -> bool:
        try:
            return platform.predict(url).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, "the gateway to answer again")
    assert supervisor.processes()["gateway"].pid not in (None, killed)


def pids(deployment: dict[str, Any]) -> list[int]:
    return [one["pid"] for one in deployment["predictors"]]


def servers(platform: PlatformHome) -> list[int]:
    """The processes that serve phoenix."""
    return [
        pid for pid in alive_with(f"{platform.home}/serving/predictors/phoenix-")
        if b"-m\0serving" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]  # fmt: skip


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
    wait_for(lambda: supervisor_pid(platform.home / which) != before, "a new supervisord")
    platform.wait("phoenix", lambda d: d["observed_at"] > known["observed_at"])
    if which == "serving":
        platform.wait("phoenix", lambda d: pids(d) not in ([], pids(known)))
    seen = platform.wait_serving("phoenix", serving)
    wait_for(lambda: platform.predict(url).status_code == 200, "an answer")
    [predictor] = seen["predictors"]
    assert servers(platform) == [predictor["pid"]]


def test_a_version_that_died_at_load_is_tried_again_by_itself(crashing, tmp_path):
    mlflow, broken = crashing.mlflow, tmp_path / "broken"
    broken.touch()
    dies = {"kind": "dies-at-load", "say": 2, "path": str(broken)}
    models = [{"name": "patient"} | how for how in ({"kind": "constant"}, dies)]
    log_models(crashing.url("mlflow"), models)
    mlflow.stage("patient", 1, "Production")
    url = crashing.wait_serving("patient", 1)["url"]
    mlflow.stage("patient", 2, "Production")
    crashing.wait("patient", lambda d: d["state"] == "Degraded")
    assert crashing.predict(url).json() == {"predictions": [1]}
    broken.unlink()
    crashing.wait_serving("patient", 2)
    assert crashing.predict(url).json() == {"predictions": [2]}


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's process, in a group and a session of its own."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def power_cut(platform: PlatformHome) -> None:
    def left() -> list[int]:
        return [pid for pid in alive_with(str(platform.home)) if entry(pid)]

    def killed() -> bool:
        for pid in left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left()

    wait_for(killed, "nothing of the platform to be left")


def given_away(platform: PlatformHome, pid: int) -> int:
    """Make every file that names a process name this one; returns how many there are."""
    now = entry(pid)
    assert now is not None
    record = {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid": pid,
        "group": now.group,
        "session": now.session,
        "start": now.start - 1,
    }
    files = 0
    for folder, programs in (
        ("run", ["gateway", "deployer"]),
        ("serving", [path.name for path in (platform.home / "serving/predictors").iterdir()]),
    ):
        (platform.home / folder / "supervisord.pid").write_text(f"{pid}\n")
        for program in programs:
            path = platform.home / folder / "pids" / f"{program}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(record))
            files += 1
    for path in (platform.home / "serving/predictors").glob("*/state.json"):
        state = json.loads(path.read_text())
        path.write_text(json.dumps(state | {"pid": pid, "worker_pid": pid}))
        files += 1
    (platform.home / "deployer" / "lock").write_text(str(pid))
    return files


@pytest.mark.parametrize("how", ["down", "power cut"])
def test_what_was_served_is_served_again_and_a_stranger_lives_on(crashing, innocent, how):
    platform = crashing
    serving = int(platform.deployment("phoenix")["serving"]["version"])
    if how == "down":
        platform.cli("down")
    else:
        power_cut(platform)
    assert given_away(platform, innocent.pid) >= 4
    platform.up("mlflow", "gateway", "deployer")
    seen = platform.wait_serving("phoenix", serving, seconds=240)
    response = platform.predict(seen["url"])
    assert (response.status_code, response.json()) == (200, {"predictions": [serving]})
    assert innocent.poll() is None, "a stranger was killed"
    [one] = seen["predictors"]
    assert one["pid"] != innocent.pid
    assert servers(platform) == [one["pid"]]
