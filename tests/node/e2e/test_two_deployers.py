"""Two Deployers of one platform: one acts, the other takes over, whatever is done to either.

They share a PostgreSQL and the cluster, and nothing else: each has a home of its own.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.cluster import cluster
from support.systems.postgres import running_postgres

from deployer.targets.kubernetes import lease
from stack.paths import Layout

pytestmark = pytest.mark.timeout(1800)

LOOKS = 2 + ceil(lease.LASTS / (0.8 * lease.EVERY))
"""At a Lease that is not renewed, by the one that takes it over, at most: as often as it may look
while it lasts; once when it has run out; and once that was under way when it was last renewed."""

PATIENCE = 240.0
"""Seconds at most for a rollout, on such a machine."""

SLOWLY = {"rollout": {"drain": "1s", "steps": [20, 100], "step_seconds": "4s"}}


class Other(ClusterPlatform):
    """Another Deployer of the same platform, as an account of its own."""

    def __init__(self, first: ClusterPlatform, home: Path) -> None:
        vars(self).update(vars(first))
        self.home, self.running = home, None
        self.client = httpx.Client(timeout=30, trust_env=False)
        self.account = "other"
        settings = yaml.safe_load((first.home / "platform.yaml").read_text())
        settings["deployer"] = {"port": free_port()}
        settings["clusters"]["tests"]["kubeconfig"] = str(self._kubeconfig())
        (home / "platform.yaml").write_text(yaml.safe_dump(settings))
        self.env = first.env | {"SCHNITZEL_HOME": str(home)}
        self.env["SCHNITZEL_DEPLOYER_URL"] = self.url("deployer")
        ours, theirs = Layout(home), Layout(first.home)
        shutil.copytree(theirs.secrets, ours.secrets)  # as a Secret that both pods mount
        shutil.copy(theirs.token, ours.token)

    def _kubeconfig(self) -> Path:
        """What it may do is not the question here: what it does is told apart by its name."""
        where, kubectl = self.environments[0], self.cluster.kubectl
        kubectl("-n", where, "create", "serviceaccount", self.account)
        admin = ("--clusterrole=cluster-admin", f"--serviceaccount={where}:{self.account}")
        kubectl("create", "clusterrolebinding", self.mark, *admin)
        known = yaml.safe_load(self.cluster.kubeconfig.read_text())
        token = kubectl("-n", where, "create", "token", self.account, "--duration=1h").strip()
        known["users"] = [
            {"name": each["name"], "user": {"token": token}} for each in known["users"]
        ]
        self.home.mkdir()
        path = self.home / "kubeconfig"
        path.write_text(json.dumps(known))
        return path

    def down(self) -> None:
        self.stop()
        self.client.close()
        self.cluster.run("delete", "clusterrolebinding", self.mark)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Iterator[tuple[ClusterPlatform, Other]]:
    folder = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres())
        one = ClusterPlatform(
            cluster(),
            folder / "one",
            settings={"registry": {"poll": "500ms", "listing": "3s", "webhooks": "off"}},
            builds=False,
        )
        stack.callback(one.down)
        one.env |= {"DATABASE_URL": url, "SCHNITZEL_DEPLOYER__DATABASE_REF": "env:DATABASE_URL"}
        names = ("calm", "gone")
        models = [
            {"name": one.model(n), "kind": "constant", "say": say} for n in names for say in (1, 2)
        ]
        models[0]["serving"] = SLOWLY
        log_models(one.mlflow.url, models)
        other = Other(one, folder / "other")
        stack.callback(other.down)
        one.up()
        other.up()
        yield one, other


def promote(pair, model: str, version: int) -> None:
    one, _ = pair
    one.mlflow.alias(one.model(model), one.environment("prod"), version)


def lease_of(platform) -> dict[str, Any]:
    found = platform.cluster.get("leases", "-n", platform.environment("prod"))["items"]
    spec: dict[str, Any] = found[0]["spec"]
    return spec


def says(platform) -> str:
    """What a Deployer says of itself."""
    told: dict[str, Any] = platform.client.get(f"{platform.url('deployer')}/readyz").json()
    return str(told["message"])


def asked_by(other: Other, since: datetime) -> list[dict[str, Any]]:
    """What the other Deployer's account asked since then, as the API server has it."""
    account = f":{other.environments[0]}:{other.account}"
    found = []
    for line in Path(other.cluster.fact("audit_log")).read_text().splitlines():
        if account in line and '"stage":"ResponseComplete"' in line:
            entry = json.loads(line)
            if datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= since:
                found.append(entry)
    return found


def written_by(other: Other, since: datetime) -> list[str]:
    """What it changed since then."""
    return [
        f"{entry['verb']} {entry['requestURI']} {entry['responseStatus']['code']}"
        for entry in asked_by(other, since)
        if entry["verb"] not in ("get", "list", "watch") and entry["responseStatus"]["code"] < 400
    ]


def looks_of(other: Other, since: str) -> int:
    """How often it read the Lease since then, before it took it."""
    verbs = [
        entry["verb"]
        for entry in asked_by(other, datetime.fromisoformat(since))
        if entry.get("objectRef", {}).get("resource") == "leases"
    ]
    return verbs.index("update") if "update" in verbs else 0


@contextmanager
def stopped(platform) -> Iterator[None]:
    platform.running.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        platform.running.signal(signal.SIGCONT)


def test_both_are_ready_and_answer_alike_though_one_acts(pair):
    one, other = pair
    assert "standing by" in says(other)
    promote(pair, "calm", 1)
    seen = one.serving("calm", 1, seconds=600)
    assert other.serving("calm", 1)["id"] == seen["id"]
    name, where = one.model("calm"), one.environment("prod")
    other.cli("deploy", "pause", name, "-e", where, "--reason", "a look")
    wait_for(lambda: (one.seen("calm")["paused"] or {}).get("reason") == "a look", "the pause")
    one.cli("deploy", "resume", name, "-e", where)


def test_one_that_was_killed_is_taken_over_from_once_its_lease_has_run_out(pair):
    one, other = pair
    one.running.signal(signal.SIGKILL)
    one.running.stop()
    left = lease_of(one)
    promote(pair, "calm", 2)
    answer = other.client.get(f"{other.url('deployer')}/api/v1/deployments")
    assert answer.status_code == 503
    assert answer.json()["hint"]
    other.serving("calm", 2, seconds=PATIENCE)
    taken = lease_of(one)
    assert taken["holderIdentity"] != left["holderIdentity"]
    assert taken["leaseTransitions"] == left["leaseTransitions"] + 1
    assert taken["leaseDurationSeconds"] == lease.LASTS
    looks = wait_for(lambda: looks_of(other, left["renewTime"]), "the audit log", 30, 1)
    assert looks <= LOOKS


def test_one_that_was_frozen_in_a_rollout_writes_nothing_and_ends(pair):
    one, other = pair
    one.up()
    assert "standing by" in says(one)
    promote(pair, "calm", 1)
    other.wait(
        one.model("calm"),
        lambda d: {p["weight"] for p in d["predictors"]} == {20, 80},
        one.environment("prod"),
        seconds=PATIENCE,
    )
    with stopped(other):
        one.serving("calm", 1, seconds=PATIENCE)
        wait_for(lambda: len(one.objects("deployments")) == 1, "the old one to be gone")
        assert "standing by" not in says(one)
        since = datetime.now(UTC)
    assert other.running.process.wait(60) == 1
    assert "acts on the cluster" in other.running.tail()
    assert written_by(other, since) == []
    assert one.serving("calm", 1)["serving"] == {"version": "1"}


def test_what_was_deleted_while_none_ran_is_asked_about(pair):
    one, other = pair
    promote(pair, "gone", 1)
    seen = one.serving("gone", 1, seconds=PATIENCE)
    where = one.environment("prod")
    one.stop()
    one.cluster.kubectl("-n", where, "delete", "modeldeployment", seen["id"])
    for platform in (other, one):  # nor does the next one forget
        platform.up()
        told = platform.wait(
            one.model("gone"), lambda d: d["reason"] == "DeletedByHand", where, seconds=60
        )
        assert told["state"] == "Retired"
        assert "deleted by hand" in told["message"]
        assert not [
            o for o in one.objects("modeldeployments") if o["metadata"]["name"] == seen["id"]
        ]
        platform.stop()
    other.up()
    lines = len(other.api(f"deployments/{seen['id']}/history?limit=1000")["events"])
    other.cli("deploy", "apply", one.model("gone"), "-e", where, "--yes")
    other.serving("gone", 1, seconds=PATIENCE)
    events = other.api(f"deployments/{seen['id']}/history?limit=1000")["events"]
    assert [e["action"] for e in events[lines:]][:2] == ["apply", "rollout"]
