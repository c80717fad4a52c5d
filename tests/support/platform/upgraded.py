"""A platform that is upgraded from the commit before this one, with traffic on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from deployer.targets.kubernetes.records.crd import record_of
from support.load import Load
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.systems.cluster import cluster
from support.systems.images import Previous, built, previous

SHARE = 0.67
TOGETHER = {"prod": 2, "dev": 1}
"""How many may move at the same time: three in prod, one in dev."""


class Upgraded(ClusterPlatform):
    """A platform with deployments in two environments, served by one server image or another."""

    previous: Previous
    earlier = False
    """Whether the Deployer is that of the commit before."""

    @property
    def present(self) -> str:
        return built(self.cluster, "model-server")["model-server"]

    @property
    def served(self) -> list[tuple[str, str]]:
        """Model and environment, by their short names."""
        return [("a", "dev"), ("a", "prod"), ("b", "prod"), ("c", "prod")]

    def start(self, image: str, checkout: Path | None = None) -> None:
        """Start the Deployer anew with another server image, perhaps that of another checkout."""
        self.earlier = checkout is not None
        own = self.env
        if checkout:
            self.env = own | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
        try:
            self.restart(server_image=image)
        finally:
            self.env = own

    def begin(self) -> None:
        """Serve everything by the model server, and if it can be by the Deployer, of before."""
        root = self.previous.root
        asked = subprocess.run(
            [sys.executable, "-m", "deployer", "settings"],
            env=self.env | {"PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        whole = asked.returncode == 0
        told = "" if whole else f"; not its Deployer, which refuses our settings: {asked.stderr}"
        sys.stdout.write(f"upgraded from {self.previous.told}{told}\n")
        for name, environment in self.served:
            self.mlflow.alias(self.model(name), self.environment(environment), 1)
        self.start(self.previous.server, root if whole else None)
        for name, environment in self.served:
            self.serving(name, 1, environment, 600)

    def settle(self) -> None:
        """Have everything served with the Deployer of this checkout, if it is not yet."""
        if self.earlier:
            self.start(self.present)
            self.upgrade("--wait")

    def upgrade(self, *flags: str) -> dict[str, Any]:
        flags = (*flags, "--timeout", "600") if "--wait" in flags else flags
        found: dict[str, Any] = json.loads(self.cli("platform", "upgrade", *flags, "-o", "json"))
        return found

    def states(self, found: dict[str, Any]) -> dict[tuple[str, str], str]:
        """Of those that an upgrade is about, by their short names."""
        known = {(self.model(n), self.environment(e)): (n, e) for n, e in self.served}
        return {known[m["model"], m["environment"]]: m["state"] for m in found["deployments"]}

    def servers(self) -> dict[tuple[str, str], str]:
        """For each deployment the server image that its record says it is served by."""
        found = {}
        for name, environment in self.served:
            for each in self.objects("modeldeployments", environment):
                if each["spec"]["model"] == self.model(name):
                    champion = record_of(each).champion
                    assert champion
                    found[name, environment] = champion.server.partition(" ")[2]
        return found

    def predictors(self) -> set[str]:
        return {o["metadata"]["name"] for e in TOGETHER for o in self.objects("deployments", e)}

    def lately(self, name: str, environment: str, since: float) -> dict[str, float]:
        """When a deployment's last rollout and shift began, by its account."""
        key = self.seen(name, environment)["id"]
        events = self.api(f"deployments/{key}/history")["events"]
        times = {e["action"]: datetime.fromisoformat(e["at"]).timestamp() for e in events}
        assert min(times["rollout"], times["shift"]) > since, events
        return times

    def looks(self) -> None:
        """Have the Deployer pass over each deployment twice more."""
        for name, environment in self.served:
            self.passed_over(self.model(name), self.environment(environment))


@pytest.fixture(scope="module", name="platform")
def upgraded_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    made = Upgraded(
        cluster(),
        tmp_path_factory.mktemp("upgrade") / "home",
        ("prod", "dev"),
        {"policy": {"upgrade_share": SHARE, "retry_first": "2s"}},
    )
    made.previous = previous(made.cluster, tmp_path_factory.mktemp("previous"))
    names = sorted({name for name, _ in made.served})
    try:
        log_models(
            made.mlflow.url,
            [{"name": made.model(name), "kind": "constant", "say": 1} for name in names],
        )
        made.begin()
        yield made
    finally:
        made.down()


@pytest.fixture(name="traffic")
def upgraded_traffic(platform: Upgraded) -> Iterator[list[Load]]:
    """20 requests a second for each deployment; a failed one fails the test."""
    with ExitStack() as stack:
        loads = [
            stack.enter_context(Load(platform.seen(*each)["url"], rate=20, connections=2))
            for each in platform.served
        ]
        yield loads
    for load in loads:
        assert load.answers
        assert not load.failed, (load.failed[:3], platform.logs())
