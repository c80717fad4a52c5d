"""Up changes nothing that is well, repairs the rest; down leaves nothing, whatever was killed.

The control plane that others use is not touched: these tests have their own beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.systems import cluster as systems
from support.systems.cluster import Cluster, second, testcluster


def pids(state: Path) -> dict[str, int]:
    """The first process of each program, as on file."""
    return {path.stem: json.loads(path.read_text())["pid"] for path in (state / "run").iterdir()}


def traces(state: Path) -> list[str]:
    """Processes and mounts that have to do with a state folder, by /proc alone."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(state) in command:
                    found.append(command)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [line for line in mounts if str(state) in line]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "second"


@pytest.fixture
def control_plane(state: Path) -> Iterator[Cluster]:
    with second(state) as made:
        yield made


def test_a_second_control_plane_has_objects_of_its_own(control_plane: Cluster) -> None:
    first = systems.control_plane()
    control_plane.kubectl("create", "namespace", "only-here")
    assert first.run("get", "namespace", "only-here").returncode != 0
    control_plane.kubectl("auth", "whoami")
    first.kubectl("auth", "whoami")


def test_up_changes_nothing_that_is_well_and_mends_what_is_not(
    control_plane: Cluster, state: Path
) -> None:
    before = pids(state)
    arguments = ("up", "--control-plane-only", "--state", str(state))
    assert "nothing to do" in testcluster(*arguments)
    assert pids(state) == before

    os.kill(before["apiserver"], signal.SIGKILL)
    testcluster(*arguments)
    after = pids(state)
    assert after["apiserver"] != before["apiserver"]
    assert after["etcd"] == before["etcd"]
    control_plane.kubectl("get", "namespaces")
    assert "nothing to do" in testcluster(*arguments)


def test_a_pid_that_was_given_to_another_process_is_left_alone(
    control_plane: Cluster, state: Path
) -> None:
    record = state / "run/kcm.json"
    kept = json.loads(record.read_text())
    with subprocess.Popen(["sleep", "300"]) as stranger:
        record.write_text(json.dumps(kept | {"pid": stranger.pid}))
        testcluster("down", "--state", str(state))
        assert stranger.poll() is None
        stranger.kill()
    assert traces(state) == []


def test_down_leaves_nothing_after_everything_in_charge_was_killed(
    control_plane: Cluster, state: Path
) -> None:
    assert len(traces(state)) == 3
    for name in ("etcd", "kcm"):
        os.kill(pids(state)[name], signal.SIGKILL)
    testcluster("down", "--state", str(state))
    assert traces(state) == []
    assert not state.exists()
    testcluster("down", "--state", str(state))
