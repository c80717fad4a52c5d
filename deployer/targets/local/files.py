"""Keep the folders of predictors on disk.

`definition.json` is ours (it names the owner of the folder), the model server reads
`predictor.json` and writes `state.json`. Each replica is a model server of its own: the first has
the name of its predictor, and "NAME.2" has `predictor.2.json` and `state.2.json`.
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

from deployer.errors import TargetUnavailable
from deployer.state.predictor import Predictor
from deployer.targets import shares
from deployer.targets.base import MetricsEndpoint
from deployer.targets.local.gateway import LOOPBACK
from deployer.targets.local.queue.consumers import NOBODY, Consumers
from deployer.targets.shares import Share
from stack.files import Stamp, stamps, write_private

# Below the range from which the kernel takes ports for outgoing connections (32768 and up).
PORTS = range(20000, 30000)


@dataclass(frozen=True, slots=True)
class Definition:
    """A predictor and the platform and deployment that own it."""

    platform: str
    deployment: str
    model: str
    environment: str
    predictor: Predictor


_DEFINITION = TypeAdapter(Definition)


class PredictorFiles:
    """The folders of all local predictors of one platform.

    Args:
        root: The parent of the folders.
        platform_id: The platform that owns the predictors.
        listen: The address that model servers listen on.
        consumers: The brokers of the platform.
    """

    def __init__(
        self,
        root: Path,
        platform_id: str,
        listen: str = LOOPBACK,
        consumers: Consumers = NOBODY,
    ) -> None:
        self._root = root
        self.consumers = consumers
        self.listen = listen
        self._platform_id = platform_id
        self._read: dict[str, Definition] = {}
        self._lock = threading.RLock()

    def folder(self, name: str) -> Path:
        """Return the folder of a predictor."""
        return self._root / name

    def define(
        self, deployment: str, model: str, environment: str, predictor: Predictor
    ) -> Definition:
        """Write the definition of a predictor, which marks the predictor as ours."""
        with self._lock:
            known = self._read.get(predictor.name)
            if known and known.predictor.artifact == predictor.artifact:
                return known
            definition = Definition(self._platform_id, deployment, model, environment, predictor)
            folder = self.folder(predictor.name)
            folder.mkdir(parents=True, exist_ok=True)
            write_private(folder / "definition.json", _DEFINITION.dump_json(definition).decode())
            self._read[predictor.name] = definition
            return definition

    def all(self) -> list[Definition]:
        """List the definitions of our predictors, and never a foreign folder."""
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
        """Remove the folder of a predictor."""
        with self._lock:
            shutil.rmtree(self.folder(name), ignore_errors=True)
            self._read.pop(name, None)

    def server(self, replica: str) -> dict[str, Any]:
        """Read the configuration of a replica's last start; empty before the first start."""
        return _json(self._file(replica, "predictor"))

    def artifact(self, replica: str) -> Path:
        """Read the folder of the model's files from the configuration of a replica's last start.

        Raises:
            TargetUnavailable: The configuration is gone, or cannot be read.
        """
        folder = self.server(replica).get("artifact")
        if not isinstance(folder, str) or not folder:
            raise TargetUnavailable(
                f"The configuration of {replica} cannot be read: {self.config_file(replica)}.",
                "schnitzel doctor",
            )
        return Path(folder)

    def state(self, replica: str) -> dict[str, Any]:
        """Read the state that a replica last wrote; empty before the first state."""
        return _json(self._file(replica, "state"))

    def share(self, replica: str) -> Share | None:
        """Read the share of the messages that a replica last took up; None before the first."""
        return shares.parse(_json(self._file(replica, "share")))

    def forget_share(self, replica: str) -> None:
        """Let a replica that does not answer yet take no messages until it is told its share."""
        self._file(replica, "share").unlink(missing_ok=True)

    def consumed(self, predictor: Predictor) -> int:
        """Return the percentage of the messages that a predictor's started replicas take."""
        started = [name for name in self.replicas(predictor) if self.server(name)]
        return shares.weight([self.share(name) for name in started])

    def replicas(self, predictor: Predictor) -> list[str]:
        """List the names of a predictor's replicas.

        A predictor has its minimum of replicas, unless it was scaled by its messages. A cluster
        alone scales by the use of cores.
        """
        spec, scaled = predictor.spec, None
        if spec.is_scaled_by_messages:
            scaled = _json(self._file(predictor.name, "scale")).get("replicas")
        number = spec.autoscaling.min if spec.autoscaling else spec.replicas
        number = scaled if isinstance(scaled, int) else max(1, number)
        return [predictor.name, *(f"{predictor.name}.{i}" for i in range(2, number + 1))][:number]

    def scale(self, predictor: Predictor, number: int) -> None:
        """Set the number of a predictor's replicas."""
        if number != len(self.replicas(predictor)):
            write_private(self._file(predictor.name, "scale"), json.dumps({"replicas": number}))

    def state_file(self, replica: str) -> Path:
        """Return the file that a replica writes its state to."""
        return self._file(replica, "state")

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamp of each predictor's folder.

        It is another one after every write, since each file in it is replaced as a whole.
        """
        return stamps(self._root)

    def config_file(self, replica: str) -> Path:
        """Return the file that a replica reads at its start."""
        return self._file(replica, "predictor")

    def ports(self, predictor: Predictor) -> list[int]:
        """List the ports of a predictor's started replicas."""
        ports = [self.server(replica).get("port") for replica in self.replicas(predictor)]
        return [port for port in ports if isinstance(port, int)]

    def pages(self, host: str) -> list[MetricsEndpoint]:
        """List the metrics endpoint of each started replica, on that host."""
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
        """Write the configuration for a replica's next start and return its file.

        The replica keeps its former ports while they are free: one for requests, one for
        questions about the replica itself.
        """
        self.state_file(replica).unlink(missing_ok=True)
        self.forget_share(replica)
        place = str(artifact), str(python)
        server = self.config(definition, definition.predictor, replica, *place)
        file = self.config_file(replica)
        with self._lock:
            before, taken = self.server(replica), self._taken(replica)
            server["port"] = port = self._port(before.get("port"), taken)
            server["admin_port"] = self._port(before.get("admin_port"), taken | {port})
            write_private(file, json.dumps(server, indent=1))
        return file

    def config(
        self, about: _Named, predictor: Predictor, replica: str, artifact: str, python: str
    ) -> dict[str, Any]:
        """Build the configuration of a replica, without its ports.

        Args:
            about: The deployment that the predictor belongs to.
            predictor: The predictor.
            replica: The name of the replica.
            artifact: The folder of the model's files.
            python: The interpreter of the model's Python environment.
        """
        spec = predictor.spec
        return {
            "predictor": predictor.name,
            "model": about.model,
            "model_version": str(predictor.version.number),
            "environment": about.environment,
            "artifact": artifact,
            "python": python,
            "host": self.listen,
            "state_file": str(self.state_file(replica)),
            "memory_bytes": spec.resources.memory,
            "max_body_bytes": spec.max_body,
            "timeout_seconds": spec.timeout_seconds,
            "batching": spec.batching.model_dump(mode="json"),
            "input": spec.input,
            "drain_seconds": spec.rollout.drain,
        } | self.consumers.section(about, predictor)

    def _file(self, replica: str, kind: str) -> Path:
        name, _, number = replica.partition(".")
        return self.folder(name) / (f"{kind}.{number}.json" if number else f"{kind}.json")

    def _taken(self, but: str) -> set[object]:
        """Collect the ports of all started replicas but one."""
        others = {each for known in self.all() for each in self.replicas(known.predictor)} - {but}
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


def predictor_of(replica: str) -> str:
    """Return the name of a replica's predictor, which holds no dot."""
    return replica.partition(".")[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
