"""Down, reboot, up: what was served is served again, and nobody else's process is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.models import log_models
from support.platform.home import PlatformHome, alive_with
from support.run.wait import wait_for

from stack.processes import entry


@pytest.fixture(scope="module")
def rebooted(make_platform) -> PlatformHome:
    platform = make_platform("rebooted")
    platform.up("mlflow", "gateway", "deployer")
    log_models(platform.url("mlflow"), [{"name": "lasting", "kind": "constant", "say": 7}])
    platform.mlflow.stage("lasting", 1, "Production")
    platform.wait_serving("lasting", 1, seconds=240)
    return platform


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
        ("run", ["mlflow", "gateway", "deployer"]),
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
def test_what_was_served_is_served_again_and_a_stranger_lives_on(rebooted, innocent, how):
    if how == "down":
        rebooted.cli("down")
    else:
        power_cut(rebooted)
    assert given_away(rebooted, innocent.pid) >= 4
    rebooted.up("mlflow", "gateway", "deployer")
    seen = rebooted.wait_serving("lasting", 1, seconds=240)
    response = rebooted.predict(seen["url"])
    assert (response.status_code, response.json()) == (200, {"predictions": [7]})
    assert innocent.poll() is None, "a stranger was killed"
    [one] = seen["predictors"]
    assert one["pid"] != innocent.pid
    servers = [
        pid for pid in alive_with(str(rebooted.home / "serving" / "predictors"))
        if b"-m\0serving" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]  # fmt: skip
    assert servers == [one["pid"]]
