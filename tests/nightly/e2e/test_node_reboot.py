"""A node goes off and comes back: what served serves again, and what was broken stays left alone.

Nightly, where one worker runs: it ends every pod of the node that all tests share.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.places.kubernetes import ClusterPlace
from support import ROOT
from support.run.wait import wait_for
from support.systems.cluster import Cluster, cluster, testcluster

sys.path.insert(0, str(ROOT / "k8s"))

from testcluster import cgroups
from testcluster.layout import Layout

pytestmark = pytest.mark.timeout(1800)

NAME = "brittle"
PROGRAMS = ("kubelet", "proxy", "containerd")
"""What a node runs beside pods, as k8s/testcluster names it."""


@contextmanager
def off(there: Cluster) -> Iterator[None]:
    """Have the node off: its programs and all its pods are killed, and its disk is as it was.

    The API server, the gateway, MLflow and the registry are elsewhere, as in a cluster of several
    nodes. Mounts and network namespaces stay, which a machine that goes off loses as well.
    """
    layout = Layout(Path(there.fact("state")))
    pods = f"{layout.cgroup}/kubepods"
    assert cgroups.members(pods), "pods are in another cgroup"
    try:
        for name in PROGRAMS:  # first what would start others again
            cgroups.end(f"{layout.cgroup}/programs/{name}", grace=0)
        cgroups.end(pods, grace=0)
        yield
    finally:
        testcluster("up", "--state", str(layout.state))


def left_alone(seen: dict[str, Any]) -> bool:
    """Whether version 2 is told to be broken, and 1 is all that is there, and serves."""
    return (
        (seen["state"], seen["reason"]) == ("Degraded", "LoadError")
        and "version 1 keeps serving" in seen["message"]
        and (seen["wanted"] or {}).get("version") == "2"
        and seen["serving"] == {"version": "1"}
        and [each["version"] for each in seen["predictors"]] == ["1"]
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterPlace]:
    """Version 1 serves; version 2 is promoted, and cannot load."""
    made = ClusterPlace(cluster(), tmp_path_factory.mktemp("reboot") / "home", builds=False)
    kinds = {1: "constant", 2: "load-error"}
    try:
        made.models({"name": NAME, "kind": kind, "say": say} for say, kind in kinds.items())
        made.start()
        made.alias(NAME, 1)
        made.serves(NAME, 1)
        made.alias(NAME, 2)
        yield made
    finally:
        made.end()


def servers(place: ClusterPlace) -> set[str]:
    """The pods that run and are ready, each another one after each start of its containers."""
    found = place.things(NAME).items()
    return {it.stamp for name, it in found if name.startswith("server ") and it.content == "runs"}


def tries(place: ClusterPlace) -> list[Any]:
    """What the account of the deployment says of version 2."""
    return [event for event in place.history(NAME) if event["to"] == "2"]


@pytest.mark.parametrize("deployer", ["elsewhere", "on the node"])
def test_after_a_reboot_the_last_good_version_serves_and_the_broken_one_is_left_alone(
    place, deployer
):
    place.wait(NAME, left_alone)
    before, tried = servers(place), tries(place)
    assert tried[-1]["action"] == "failed"
    with off(place.cluster):
        if deployer == "on the node":
            place.deployer.signal(signal.SIGKILL)
            place.stop()
            place.bereaved()
    if deployer == "on the node":
        place.start()

    wait_for(lambda: servers(place) - before, "a pod that was started again", 600, 0.5)
    wait_for(lambda: place.predict(NAME) == (200, 1), "version 1 to answer", 240, 0.2)
    place.wait(NAME, left_alone)
    assert left_alone(place.looked_at(NAME))
    assert tries(place) == tried
    assert {name.split("-v")[-1].split("-")[0] for name in place.servers(NAME)} == {"1"}
    assert place.predict(NAME) == (200, 1)
    assert "LoadError" in place.tags(NAME, 2)[place.tag("status")]
