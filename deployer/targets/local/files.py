"""In: predictors. Out: their folders on disk: what each is, how its server starts, how it is.

`definition.json` is ours (it says whose the folder is), `predictor.json` is what the model server
reads, and `state.json` is what it writes.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from deployer.state import Predictor
from deployer.targets.local.gateway import write_atomically

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
    """The folders of all local predictors of one platform."""

    def __init__(self, root: Path, platform_id: str) -> None:
        self._root = root
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

    def server(self, name: str) -> dict[str, Any]:
        """What its model server was last started with; empty before its first start."""
        return _json(self.folder(name) / "predictor.json")

    def state(self, name: str) -> dict[str, Any]:
        """What its model server last wrote of itself; empty before that."""
        return _json(self.folder(name) / "state.json")

    def configure(self, definition: Definition, artifact: Path, python: Path) -> Path:
        """Write what the model server is to be started with; returns the file.

        A port that it had is kept while it is free.
        """
        predictor = definition.predictor
        folder = self.folder(predictor.name)
        spec = predictor.spec
        (folder / "state.json").unlink(missing_ok=True)
        server = {
            "predictor": predictor.name,
            "model": definition.model,
            "model_version": str(predictor.version.number),
            "environment": definition.environment,
            "artifact": str(artifact),
            "python": str(python),
            "host": "127.0.0.1",
            "state_file": str(folder / "state.json"),
            "memory_bytes": spec["resources"]["memory"],
            "max_body_bytes": spec["max_body"],
            "timeout_seconds": spec["timeout_seconds"],
            "batching": spec["batching"],
            "drain_seconds": spec["rollout"]["drain"],
        }
        with self._lock:
            server["port"] = self._port(self.server(predictor.name).get("port"))
            write_atomically(folder / "predictor.json", json.dumps(server, indent=1))
        return folder / "predictor.json"

    def _port(self, before: object) -> int:
        taken = {self.server(d.predictor.name).get("port") for d in self.all()} - {before}
        start = PORTS.start + zlib.crc32(str(self._root).encode()) % len(PORTS)
        wrapped = [*range(start, PORTS.stop), *range(PORTS.start, start)]
        first = [before] if isinstance(before, int) else []
        for port in (*first, *wrapped):
            if port in taken:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return int(port)
        raise OSError("no free port for a model server")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
