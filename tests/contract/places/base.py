"""A place where models are served, in the few words in which every target is told the same story.

A new target is a subclass: its platform, what stands there for a model, what somebody may change
there by hand, and the names of its writes.
"""

from __future__ import annotations

import shutil
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
from support import ROOT
from support.faults.proxy import FaultyProxy
from support.load import Load
from support.models import log_models
from support.platform.home import PlatformHome
from support.run.process import Running
from support.run.wait import wait_for

HINTED = ROOT / "tests/support/faults/hinted_deployer.py"
KILLED = ROOT / "tests/support/faults/killed_deployer.py"
RECORD = "record"
REGISTRY = {"poll": "500ms", "listing": "2s", "webhooks": "off"}
GRACE_SECONDS = 4
POLICY = {"retire_after": f"{GRACE_SECONDS}s", "retire_listings": 2}
Seen = dict[str, Any]


@dataclass(frozen=True)
class Thing:
    """Something that stands for a model where it is served: a file, an object, a server.

    `content` is the same again once it is as it was; `stamp` is not, after any write or start.
    """

    content: str
    stamp: str


class Place(ABC):
    """One platform, whose Deployer each test may stop, kill and start.

    Attributes:
        registry: what the Deployer reads MLflow through; it can be told to misbehave.
        turns: of a rollout, and the Deployer's write that makes each.
    """

    turns: ClassVar[Mapping[str, str]]
    alias_name = "champion"
    shifts_at_once: ClassVar[bool] = True
    """Whether all versions change their share in one moment, so that the shares always make 100."""

    def __init__(self, platform: PlatformHome, mlflow_url: str, environment: str = "prod") -> None:
        self.platform, self.environment = platform, environment
        self.registry = FaultyProxy(mlflow_url)
        self.deployer: Running | None = None
        self.log = platform.home / "logs" / "deployer.log"
        self.env = platform.env | {"SCHNITZEL_MLFLOW__URL": self.registry.url}

    @abstractmethod
    def things(self, model: str) -> dict[str, Thing]:
        """All that stands for a model, by name; a server is "server PREDICTOR", the rest as is.

        What is remembered of it is RECORD, of no content: it stays when the model is retired.
        """

    @abstractmethod
    def meddlings(self, model: str) -> dict[str, Callable[[], object]]:
        """What somebody may do by hand to what serves a model."""

    @abstractmethod
    def bereaved(self) -> None:
        """The Deployer was killed: have the next one act at once, where it would wait."""

    def models(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Register versions of models; see `models.log_models`."""
        named = [dict(model) | {"name": self.model(model["name"])} for model in models]
        log_models(self.platform.mlflow.url, named)

    def model(self, name: str) -> str:
        """The registered model's name."""
        return name

    def promote(self, name: str, version: int, *before: int) -> None:
        """Promote by stage; versions promoted before stay in it, too, or are archived."""
        self.platform.mlflow.stage(self.model(name), version, "Production")
        for other in before:  # MLflow does not do it on its own on PostgreSQL (seen with 3.17.2)
            self.archive(name, other)

    def alias(self, name: str, version: int) -> None:
        """Promote by alias."""
        self.platform.mlflow.alias(self.model(name), self.alias_name, version)

    def archive(self, name: str, version: int) -> None:
        self.platform.mlflow.stage(self.model(name), version, "Archived")

    def tag(self, what: str) -> str:
        """The key of one of the tags in which a deployment's state is mirrored."""
        return f"schnitzel.{self.environment}.{what}"

    def tags(self, name: str, version: int) -> dict[str, str]:
        """The tags of a version in MLflow."""
        return self.platform.mlflow.tags(self.model(name), version)

    def seen(self, name: str) -> Seen:
        """What the Deployer tells of a deployment; nothing if it does not answer."""
        return self.platform.deployment(self.model(name), self.environment)

    def wait(self, name: str, what: Callable[[Seen], Any], seconds: float = 600) -> Seen:
        return self.platform.wait(self.model(name), what, self.environment, seconds)

    def serves(self, name: str, version: int, seconds: float = 600) -> Seen:
        """Wait until a version serves every request, and nothing is left of the one before."""
        self.platform.wait_serving(self.model(name), version, self.environment, seconds)

        def alone() -> bool:
            return [server.split("-v")[-1].split("-")[0] for server in self.servers(name)] == [
                str(version)
            ]

        self._wait_for(alone, f"only version {version} of {name} to be there", 60)
        return self.wait(name, lambda seen: len(seen["predictors"]) == 1)

    def brought(self, name: str, version: int) -> Seen:
        """Have a version serve, and promoted by stage, whatever served before."""
        seen = self.seen(name)
        if (seen.get("serving") or {}).get("version") != str(version):
            told = [seen["wanted"], *seen["losing"]] if seen else []
            self.promote(name, version, *{int(one["version"]) for one in told if one} - {version})
        return self.serves(name, version, seconds=600)

    def looked_at(self, name: str) -> Seen:
        """Have the Deployer pass over a deployment twice more."""
        return self.platform.passed_over(self.model(name), self.environment)

    def predict(self, name: str) -> tuple[int, Any]:
        """The status of an answer, and the prediction in it."""
        answer = self.platform.predict(self.seen(name)["url"])
        return answer.status_code, answer.json()["predictions"][0] if answer.is_success else None

    def load(self, name: str, rate: float = 20, connections: int = 2) -> Load:
        return Load(self.wait(name, bool)["url"], rate, connections)

    def history(self, name: str) -> list[dict[str, Any]]:
        """The account of a deployment, oldest first."""
        path = f"deployments/{self.seen(name)['id']}/history"
        events: list[dict[str, Any]] = self.platform.api(path)["events"]
        return events

    def told(self, *command: str, name: str) -> str:
        """Run a command of `schnitzel deploy` on a deployment, as a person does."""
        place = ("-e", self.environment)
        return self.platform.cli("deploy", command[0], self.model(name), *place, *command[1:])

    def servers(self, name: str) -> list[str]:
        """The predictors of a model of which a server is there, ready or not."""
        found = self.things(name)
        return sorted({t.removeprefix("server ") for t in found if t.startswith("server ")})

    def contents(self, name: str) -> dict[str, str]:
        return {thing: found.content for thing, found in self.things(name).items()}

    def stamps(self, name: str) -> dict[str, str]:
        return {thing: found.stamp for thing, found in self.things(name).items()}

    def start(self, *, listing: tuple[Path, str] | None = None) -> None:
        """Start the Deployer, without a resync; it is ready when this returns.

        Args:
            listing: a file to write each of its writes to, and of which model.
        """
        command = [sys.executable, str(HINTED)]
        if listing:
            file, name = listing
            command = [sys.executable, str(KILLED), "list", str(file), self.model(name)]
        deployer = self._run(command)

        def ready() -> bool:
            assert deployer.process.poll() is None, f"the Deployer ended:\n{deployer.tail()}"
            with suppress(httpx.HTTPError):
                url = self.platform.url("deployer")
                return self.platform.client.get(f"{url}/readyz").status_code == 200
            return False

        self._wait_for(ready, "the Deployer to be ready", 60)

    def stop(self) -> None:
        """Have the Deployer end as it should."""
        if self.deployer:
            self.deployer.stop()
            self.deployer = None

    def killed(
        self, name: str, edge: str, when: str, until: Callable[[], Any] = lambda: False
    ) -> bool:
        """Run a Deployer that dies just before or after a write for a model; whether it did.

        Args:
            name: the model's.
            edge: the write, as `killed_deployer` names it.
            when: "before" or "after".
            until: where it may never come to that write: whether all is done without it.
        """
        self.stop()
        command = [sys.executable, str(KILLED), edge, when, self.model(name)]
        deployer = self._run(command)

        def ended() -> bool:
            return deployer.process.poll() is not None or bool(until())

        self._wait_for(ended, f"the Deployer's end {when} {edge}", 120)
        status = deployer.process.poll()
        self.stop()
        self.bereaved()
        assert status in (None, -signal.SIGKILL), f"{when} {edge}: {deployer.tail()}"
        return status is not None

    def logs(self) -> str:
        """The end of every log, for the message of a test that failed."""
        return self.platform.logs()

    def end(self) -> None:
        """Leave nothing behind; fails if a secret of the platform was seen where none may be."""
        self.stop()
        try:
            self.platform.down()
        finally:
            self.registry.close()
            shutil.rmtree(self.platform.home, ignore_errors=True)

    def _run(self, command: list[str]) -> Running:
        self.stop()
        self.deployer = Running(command, self.log, self.env)
        return self.deployer

    def _wait_for(self, look: Callable[[], Any], what: str, seconds: float) -> None:
        try:
            wait_for(look, what, seconds, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.platform.logs()}") from None
