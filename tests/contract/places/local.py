"""This machine as a place of the contract's tests: supervisord, Traefik, files."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import ClassVar

import yaml
from support.platform.home import QUICK, PlatformHome

from contract.places.base import POLICY, RECORD, REGISTRY, Place, Thing
from deployer.store.records import Records
from deployer.store.sqlite import Database
from stack.supervision.processes import entry
from stack.supervision.supervisor import SERVING, Supervisor, SupervisorUnavailable


class Home(PlatformHome):
    """A platform whose Deployer the tests start themselves."""

    def port(self, name: str) -> int:
        if name == "deployer":
            return int(yaml.safe_load((self.home / "platform.yaml").read_text())[name]["port"])
        return super().port(name)


class LocalPlace(Place):
    """Models served by processes of this machine."""

    turns: ClassVar = {
        "remembering": "Records.save",
        "starting": "stack.supervision.supervisor.write_private",
        "routing": "deployer.targets.local.gateway.write_private",
        "removing": "Supervisor.remove",
    }

    def __init__(self, home: Path) -> None:
        prod = QUICK["environments"]["prod"] | {"policy": POLICY}
        platform = Home(home, {"registry": REGISTRY, "environments": {"prod": prod}})
        platform.up("mlflow", "gateway")
        platform.env |= {
            "SCHNITZEL_GATEWAY__URL": platform.url("gateway"),
            "SCHNITZEL_GATEWAY__API_URL": platform.url("gateway_api"),
            "SCHNITZEL_DEPLOYER_URL": platform.url("deployer"),
        }
        super().__init__(platform, platform.url("mlflow"))
        self.serving = home / "serving"

    def bereaved(self) -> None:
        """The lock of a home goes with its process."""

    def things(self, model: str) -> dict[str, Thing]:
        found = {f"server {name}": _process(pid) for name, pid in self._servers(model)}
        predictors = f"{model}-prod-v*"
        files = [self._route(model), *self.serving.glob(f"programs/{predictors}")]
        files += self.serving.glob(f"predictors/{predictors}/[!s]*.json")  # state*: the server's
        for file in files:
            with suppress(FileNotFoundError):
                stamp = f"{file.stat().st_ino} {file.stat().st_mtime_ns}"
                found[str(file.relative_to(self.platform.home))] = Thing(file.read_text(), stamp)
        return found | self._record(model)

    def meddlings(self, model: str) -> dict[str, Callable[[], object]]:
        route = self._route(model)
        [(predictor, pid)] = self._servers(model)
        supervisor = Supervisor(self.serving, SERVING)
        return {
            "its route is removed": route.unlink,
            "its route leads nowhere": lambda: route.write_text(
                route.read_text().replace("127.0.0.1", "127.0.0.2")
            ),
            "its server is killed": lambda: os.kill(pid, signal.SIGKILL),
            "its server is taken away": lambda: supervisor.remove(predictor, grace=1),
        }

    def processes(self, model: str) -> list[str]:
        """The names of the processes that serve a model, each a replica."""
        return [name for name, _ in self._servers(model)]

    def _route(self, model: str) -> Path:
        return self.platform.home / "gateway" / "dynamic" / f"{model}-prod.yaml"

    def _servers(self, model: str) -> Iterator[tuple[str, int]]:
        with suppress(SupervisorUnavailable):  # nothing was ever served
            for name, process in Supervisor(self.serving, SERVING).processes().items():
                if name.startswith(f"{model}-prod-v") and process.pid:
                    yield name, process.pid

    def _record(self, model: str) -> dict[str, Thing]:
        with closing(Database(self.platform.home / "deployer" / "deployer.db")) as database:
            record = Records(database).load(f"{model}-prod")
        return (
            {RECORD: Thing("", hashlib.sha256(repr(record).encode()).hexdigest())} if record else {}
        )


def _process(pid: int) -> Thing:
    now = entry(pid)
    return Thing("runs", f"{pid} {now.start if now else 'gone'}")
