"""In: predictors. Out: their folders on disk: what each is, how its server starts, how it is.

`definition.json` is ours (it says whose the folder is), `predictor.json` is what the model server
reads, and `state.json` is what it writes. Each replica is a model server of its own: the first is
named as its predictor, and "NAME.2" has `predictor.2.json` and `state.2.json`.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from deployer.state.deployment import Predictor
from deployer.targets.base import MetricsEndpoint
from deployer.targets.local.gateway import LOOPBACK, write_atomically

# Below the range from which the kernel takes ports for outgoing connections (32768 and up).
PORTS = range(20000, 30000)


@dataclass(frozen=True, slots=True)
class Definition:
    """Whose a predictor is and all that it is made of."""

    platform: str
    deployment: str
    model: str
    environment: str
    predictor: Predictor


_DEFINITION = TypeAdapter(Definition)


class PredictorFiles:
    """The folders of all local predictors of one platform.

    Args:
        root: where they are.
        platform_id: whose.
        listen: the address that model servers listen on.
    """

    def __init__(self, root: Path, platform_id: str, listen: str = LOOPBACK) -> None:
        self._root = root
        self.listen = listen
        self._platform_id = platform_id
        self._read: dict[str, Definition] = {}
        self._lock = threading.RLock()

    def folder(self, name: str) -> Path:
        """A predictor's folder."""
        return self._root / name

    def define(
        self, deployment: str, model: str, environment: str, predictor: Predictor
    ) -> Definition:
        """Say on disk that this predictor is ours."""
        with self._lock:
            known = self._read.get(predictor.name)
            if known and known.predictor.artifact == predictor.artifact:
                return known
            definition = Definition(self._platform_id, deployment, model, environment, predictor)
            folder = self.folder(predictor.name)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "definition.json", _DEFINITION.dump_json(definition).decode())
            self._read[predictor.name] = definition
            return definition

    def all(self) -> list[Definition]:
        """Every predictor that is ours. A folder of somebody else's is never in it."""
        names = {path.name for path in self._root.iterdir()} if self._root.exists() else set()
        with self._lock:
            for gone in set(self._read) - names:
                del self._read[gone]
            for name in names - set(self._read):
                try:
                    text = (self.folder(name) / "definition.json").read_bytes()
                    definition = _DEFINITION.validate_json(text)
                except (OSError, ValidationError):
                    continue
                if definition.platform == self._platform_id and definition.predictor.name == name:
                    self._read[name] = definition
            return list(self._read.values())

    def remove(self, name: str) -> None:
        """Take a predictor's folder away."""
        with self._lock:
            shutil.rmtree(self.folder(name), ignore_errors=True)
            self._read.pop(name, None)

    def server(self, replica: str) -> dict[str, Any]:
        """What a replica was last started with; empty before its first start."""
        return _json(self._file(replica, "predictor"))

    def state(self, replica: str) -> dict[str, Any]:
        """What a replica last wrote of itself; empty before that."""
        return _json(self._file(replica, "state"))

    def state_file(self, replica: str) -> Path:
        """Where a replica writes how it is."""
        return self._file(replica, "state")

    def config_file(self, replica: str) -> Path:
        """What a replica reads at its start."""
        return self._file(replica, "predictor")

    def ports(self, predictor: Predictor) -> list[int]:
        """The ports of its replicas, as far as they were started."""
        ports = [self.server(replica).get("port") for replica in replicas(predictor)]
        return [port for port in ports if isinstance(port, int)]

    def pages(self, host: str) -> list[MetricsEndpoint]:
        """Where each replica that was started shows its metrics, on that host."""
        found = []
        for known in self.all():
            labels = {
                "deployment": known.deployment,
                "model": known.model,
                "version": str(known.predictor.version.number),
                "environment": known.environment,
                "predictor": known.predictor.name,
            }
            ports = self.ports(known.predictor)
            found += [MetricsEndpoint(f"{host}:{port}", labels) for port in ports]
        return found

    def configure(self, definition: Definition, replica: str, artifact: Path, python: Path) -> Path:
        """Write what a replica is to be started with; returns the file.

        A port that it had is kept while it is free; one for questions about itself comes with it.
        """
        state = self.state_file(replica)
        state.unlink(missing_ok=True)
        where = (str(artifact), str(python), state, self.listen)
        server = server_config(definition, definition.predictor, *where)
        file = self.config_file(replica)
        with self._lock:
            before, taken = self.server(replica), self._taken(replica)
            server["port"] = port = self._port(before.get("port"), taken)
            server["admin_port"] = self._port(before.get("admin_port"), taken | {port})
            write_atomically(file, json.dumps(server, indent=1))
        return file

    def _file(self, replica: str, kind: str) -> Path:
        name, _, number = replica.partition(".")
        return self.folder(name) / (f"{kind}.{number}.json" if number else f"{kind}.json")

    def _taken(self, but: str) -> set[object]:
        """The ports of all replicas but one, as far as they were started."""
        others = {each for known in self.all() for each in replicas(known.predictor)} - {but}
        servers = [self.server(each) for each in others]
        return {server.get(kind) for server in servers for kind in ("port", "admin_port")}

    def _port(self, before: object, taken: set[object]) -> int:
        start = PORTS.start + zlib.crc32(str(self._root).encode()) % len(PORTS)
        wrapped = [*range(start, PORTS.stop), *range(PORTS.start, start)]
        first = [before] if isinstance(before, int) else []
        for port in (*first, *wrapped):
            if port in taken:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                except OSError:
                    continue
            return int(port)
        raise OSError("no free port for a model server")


class _Named(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def environment(self) -> str: ...


def server_config(
    about: _Named, predictor: Predictor, artifact: str, python: str, state_file: Path, listen: str
) -> dict[str, Any]:
    """What a model server is started with, but for its ports.

    Args:
        about: the deployment that it belongs to.
        predictor: which one.
        artifact: the folder of its files.
        python: the interpreter of its environment.
        state_file: where it writes how it is.
        listen: the address that it listens on.
    """
    spec = predictor.spec
    return {
        "predictor": predictor.name,
        "model": about.model,
        "model_version": str(predictor.version.number),
        "environment": about.environment,
        "artifact": artifact,
        "python": python,
        "host": listen,
        "state_file": str(state_file),
        "memory_bytes": spec["resources"]["memory"],
        "max_body_bytes": spec["max_body"],
        "timeout_seconds": spec["timeout_seconds"],
        "batching": spec["batching"],
        "input": spec.get("input", "strict"),
        "drain_seconds": spec["rollout"]["drain"],
    }


def replicas(predictor: Predictor) -> list[str]:
    """The names of a predictor's replicas. One that scales by itself elsewhere has its least here.

    Names of predictors hold no dot, so that each replica's name leads back to its predictor.
    """
    scaling = predictor.spec.get("autoscaling") or {}
    number = int(scaling.get("min") or predictor.spec["replicas"])
    return [predictor.name, *(f"{predictor.name}.{i}" for i in range(2, number + 1))]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
