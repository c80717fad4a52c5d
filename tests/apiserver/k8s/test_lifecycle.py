"""Up changes nothing that is well, repairs the rest; down leaves nothing, whatever was killed.

The control plane that others use is not touched: these tests have their own beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import ROOT
from support.systems import cluster as systems
from support.systems.cluster import Cluster, second, testcluster

sys.path.insert(0, str(ROOT / "k8s"))

from testcluster import removal
from testcluster.layout import Layout


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


def test_no_cluster_takes_a_port_that_another_chose_and_does_not_listen_on_yet(
    tmp_path: Path,
) -> None:
    first, other = Layout(tmp_path / "first"), Layout(tmp_path / "other")
    try:
        assert not set(first.ports.values()) & set(other.ports.values())
        assert Layout(first.state).ports == first.ports
    finally:
        for layout in (first, other):
            removal.remove(layout)


def test_the_ports_of_a_cluster_that_is_gone_are_free(tmp_path: Path) -> None:
    first, other = Layout(tmp_path / "first"), Layout(tmp_path / "other")
    try:
        chosen = first.ports
        removal.remove(first)
        assert set(other.ports.values()) & set(chosen.values())
    finally:
        for layout in (first, other):
            removal.remove(layout)


def test_ports_that_another_cluster_took_meanwhile_are_chosen_anew(tmp_path: Path) -> None:
    first, other = Layout(tmp_path / "first"), Layout(tmp_path / "other")
    try:
        assert first.ports
        first.ports_claim.unlink()  # a reboot empties /run
        taken = set(other.ports.values())
        assert not set(Layout(first.state).ports.values()) & taken
    finally:
        for layout in (first, other):
            removal.remove(layout)
