"""Lay out one cluster: its folders, addresses and ports."""

import hashlib
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stack.files import keep
from testcluster.errors import ClusterError
from testcluster.locks import locked

NODE = "node1"
NODE_IP = "10.240.0.1"
NODE_NETWORK = "10.240.0.1/24"
POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
NODE_BRIDGE = "schnitzel-node"
POD_BRIDGE = "schnitzel-pods"
# Ports as they are usual, where nobody else holds them; those of a second cluster are others.
FIRST_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "apiserver": 6443,
    "kcm": 10257,
    "scheduler": 10259,
    "kubelet": 10250,
    "kubelet-healthz": 10248,
    "proxy-healthz": 10256,
    "proxy-metrics": 10249,
    "dns": 1053,
    "dns-ready": 8181,
    "registry": 5010,
    "gateway": 8088,
    "gateway-ping": 8089,
    "postgres": 5433,
    "s3": 8333,
    "s3-master": 9333,
    "s3-volume": 8380,
    "s3-filer": 8888,
    "mlflow": 5011,
    "prometheus": 9095,
    "pod-discovery": 9096,
}
# weed listens with gRPC on each of its ports plus this (`weed server -help`: port.grpc).
WEED_GRPC = 10_000
_CLAIMS = Path("/run/schnitzel-testcluster/ports")


def default_state() -> Path:
    """Where the cluster of this user lives."""
    named = os.environ.get("SCHNITZEL_TESTCLUSTER")
    return Path(named or "~/.local/state/schnitzel-testcluster").expanduser().resolve()


def default_cache() -> Path:
    """Where what takes minutes to make is kept."""
    cache = Path(os.environ.get("SCHNITZEL_CACHE", "~/.cache/schnitzel")).expanduser().resolve()
    return cache / "testcluster"


@dataclass(frozen=True)
class Layout:
    """One cluster's folders, addresses and ports.

    Attributes:
        state: all that this cluster writes, but for its sockets and PostgreSQL's tables.
        cache: binaries and base image, shared by all clusters; each one's images.
        control_plane_only: etcd, API server and controller manager; no node, no pods.
    """

    state: Path
    cache: Path = field(default_factory=default_cache)
    control_plane_only: bool = False

    @cached_property
    def id(self) -> str:
        """Distinguishes this cluster from the machine's others, in names of folders and cgroups."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """For sockets, whose paths have to be short."""
        return Path("/run/schnitzel-testcluster") / self.id

    @property
    def tables(self) -> Path:
        """PostgreSQL's folder: its user cannot look into a home of root."""
        return Path("/var/lib/schnitzel-testcluster") / self.id

    @property
    def roots(self) -> Path:
        """What the node's images are kept in, over `down`."""
        return self.cache / "roots" / self.id

    @property
    def cgroup(self) -> str:
        """The cgroup, below each hierarchy's root, that holds every process and every pod."""
        return f"schnitzel-testcluster/{self.id}"

    @property
    def address(self) -> str:
        """What the servers listen on and are reached at."""
        return "127.0.0.1" if self.control_plane_only else NODE_IP

    @property
    def bin(self) -> Path:
        """The programs that we built, under their own names."""
        return self.cache / "bin"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One file for each program."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def facts(self) -> Path:
        """What tests read."""
        return self.state / "facts.json"

    @property
    def audit_log(self) -> Path:
        """The API server's, one JSON object a line."""
        return self.state / "audit.log"

    @property
    def ports_claim(self) -> Path:
        """A link to the file of its ports, which the machine's other clusters leave alone."""
        return _CLAIMS / self.id

    @cached_property
    def ports(self) -> dict[str, int]:
        """A port for each listener, chosen once and kept on file.

        No cluster of the machine chooses one that another has chosen: a program may listen only
        minutes later.
        """
        path, claim = self.state / "ports.json", self.ports_claim
        with locked(_CLAIMS.with_suffix(".lock")):
            others = {port for other in _claims() - {claim} for port in _read(other).values()}
            kept = {name: port for name, port in _read(path).items() if port not in others}
            missing = [name for name in FIRST_PORTS if name not in kept]
            kept |= _choose(missing, others.union(kept.values()))
            keep(path, json.dumps(kept, indent=1) + "\n")
            claim.unlink(missing_ok=True)
            claim.parent.mkdir(parents=True, exist_ok=True)
            claim.symlink_to(path)
        return kept

    def url(self, name: str, scheme: str = "http") -> str:
        """Where a listener is reached, from pods and from this machine."""
        return f"{scheme}://{self.address}:{self.ports[name]}"

    def config(self, name: str, text: str) -> Path:
        """A program's configuration, written if it differs from what is there."""
        path = self.state / "config" / name
        keep(path, text)
        return path


def _read(path: Path) -> dict[str, int]:
    return json.loads(path.read_text()) if path.exists() else {}


def _claims() -> set[Path]:
    """Links to the ports of every cluster; one that was deleted leaves a link to nothing."""
    return set(_CLAIMS.iterdir()) if _CLAIMS.exists() else set()


def _choose(names: Iterable[str], taken: set[int]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name in names:
        port = FIRST_PORTS[name]
        while port in taken or not _free(port) or (name.startswith("s3") and _grpc_taken(port)):
            port += 1
            if port > FIRST_PORTS[name] + 500:
                raise ClusterError(f"No port is free for {name} from {FIRST_PORTS[name]} on.")
        taken.add(port)
        chosen[name] = port
    return chosen


def _grpc_taken(port: int) -> bool:
    return not _free(port + WEED_GRPC)


def _free(port: int) -> bool:
    """Whether nobody listens there, on any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
