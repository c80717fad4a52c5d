"""A dockerd of the tests' own, the images of docker-compose.yml in it, and docker compose.

What cannot be pulled where tests run has a stand-in built from Debian packages, under the same name
and with the same interface: tests/standins/compose.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support import ROOT
from support.run.process import Running
from support.run.wait import wait_for

sys.path.insert(0, str(ROOT / "k8s"))
STANDINS = ROOT / "tests/standins/compose"
BASE = "debian:bookworm-20251229-slim"
CGROUP = "schnitzel-compose"
NO_GO = "go not found, and Docker Compose is built with it: docs/guides/test-cluster.md"
OURS = ("models", "mlflow", "airflow", "deployer")
BINARIES = {"seaweedfs": "weed", "traefik": "traefik"}
"""Programs that a stand-in takes from this environment."""


class DockerEngine:
    """dockerd with a socket, data and addresses of its own; its images stay for the next time."""

    def __init__(self) -> None:
        from testcluster import builds, images, layout

        self._cache = layout.default_cache()
        builds.ensure(self._cache, [builds.COMPOSE])
        images.ensure_base(self._cache)
        self._base = images.base_archive(self._cache)
        self._folder = Path(tempfile.mkdtemp(prefix="schnitzel-docker-", dir="/run"))
        self.compose = self._cache / "bin/docker-compose"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SCHNITZEL_", "COMPOSE_"))},
            "DOCKER_HOST": f"unix://{self._folder}/docker.sock",
            "PATH": f"/usr/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._lock = (self._cache / "docker-compose.lock").open("w")
        self._chains: set[tuple[str, str]] = set()
        self._running: Running | None = None

    def start(self) -> DockerEngine:
        """Start it, once no other test has its data."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._chains = _chains()
        settings: dict[str, Any] = {
            "hosts": [self.env["DOCKER_HOST"]],
            "data-root": str(self._cache / "docker-compose"),
            "exec-root": f"{self._folder}/exec",
            "pidfile": f"{self._folder}/docker.pid",
            # Builds use the machine's network, and compose makes its own: out of others' way.
            "bridge": "none",
            "default-address-pools": [{"base": "10.247.0.0/16", "size": 24}],
            "ip6tables": False,
            "cgroup-parent": f"/{CGROUP}",
        }
        config = self._folder / "daemon.json"
        config.write_text(json.dumps(settings))
        command = ["nice", "-n", "5", "dockerd", "--config-file", str(config)]
        self._running = Running(command, self._folder / "dockerd.log", self.env)
        wait_for(self._answers, "dockerd", 60)
        self._clear()
        return self

    def close(self) -> None:
        """End it with all that it left; nothing to do if it was not started."""
        if self._running:
            try:
                self._clear()
            finally:
                self._running.stop(60)
                _remove_chains(_chains() - self._chains)
        groups = Path("/sys/fs/cgroup")
        for group in [groups / CGROUP, *groups.glob(f"*/{CGROUP}")]:
            for folder in sorted((group, *group.rglob("*/")), reverse=True):
                with suppress(OSError):  # not there, in this version of cgroups
                    folder.rmdir()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def run(self, *command: str | Path, **options: Any) -> str:
        """Run a program that speaks to this dockerd; what it printed."""
        env = self.env | options.pop("env", {})
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, **options
        )
        said = f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    def build(self) -> None:
        """Have every image that docker-compose.yml names."""
        self.run("docker", "load", "--input", self._base)
        self.run("docker", "tag", "localhost/base:bookworm", BASE)
        for folder in sorted(STANDINS.glob("*/")):
            with tempfile.TemporaryDirectory() as context:
                shutil.copytree(folder, context, dirs_exist_ok=True)
                if program := BINARIES.get(folder.name):
                    shutil.copy(Path(sys.executable).with_name(program), context)
                first = (folder / "Dockerfile").read_text().splitlines()[0]
                name = first.removeprefix("# Stands in for ").partition(": ")[0]
                flags = ("--quiet", "--network", "host", "--tag", name)
                self.run("docker", "build", *flags, context, env={"DOCKER_BUILDKIT": "1"})
        told = {"BUILDER": "docker", "NETWORK": "host", "BASE": BASE}
        if bundle := os.environ.get("SSL_CERT_FILE"):
            told["CA_BUNDLE"] = bundle
        self.run(sys.executable, ROOT / "images/build.py", *OURS, env=told)

    def _clear(self) -> None:
        """Leave no container, volume or network, also of a test that was killed; images stay."""
        containers = self.run("docker", "ps", "--all", "--quiet").split()
        if containers:
            self.run("docker", "rm", "--force", "--volumes", *containers)
        volumes = self.run("docker", "volume", "ls", "--quiet").split()
        if volumes:
            self.run("docker", "volume", "rm", *volumes)
        self.run("docker", "network", "prune", "--force")

    def _answers(self) -> bool:
        assert self._running
        assert self._running.process.poll() is None, self._running.tail()
        command = ["docker", "version"]
        done = subprocess.run(command, env=self.env, capture_output=True, check=False)
        return done.returncode == 0


def docker_compose() -> Path:
    """Return Docker Compose, built if need be; without Go the test is skipped, or fails in CI."""
    from testcluster import builds, layout

    cache = layout.default_cache()
    program = cache / "bin" / builds.COMPOSE.names[0]
    if not program.exists():
        if shutil.which("go") is None:
            _not_here(NO_GO)
        builds.ensure(cache, [builds.COMPOSE])
    return program


def docker_engine() -> DockerEngine:
    """Such a one, or the test is skipped with the reason; under CI=true that is a failure."""
    if reason := _lacking():
        _not_here(reason)
    return DockerEngine()


def _not_here(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _lacking() -> str:
    if os.getuid() != 0:
        return "a dockerd of the tests' own needs root"
    programs = ("dockerd", "docker", "debootstrap", "iptables")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found: scripts/system-packages.sh installs them"
    if shutil.which("go") is None:
        return NO_GO
    own = ["/usr/bin/docker", "--host", "unix:///var/run/docker.sock", "version"]
    if subprocess.run(own, capture_output=True, check=False).returncode == 0:
        return "this machine's own Docker runs, and a second one would replace its packet filters"
    return ""


def _chains() -> set[tuple[str, str]]:
    """Docker's chains of packet filters: (table, chain)."""
    found = set()
    for table in ("filter", "nat"):
        command = ["iptables", "--table", table, "--list-rules"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found |= {(table, line[3:]) for line in listed.splitlines() if line[:9] == "-N DOCKER"}
    return found


def _remove_chains(chains: set[tuple[str, str]]) -> None:
    """Take away what dockerd leaves behind: rules that lead to its chains, then the chains."""
    for table in {table for table, _ in chains}:
        of_table = {chain for each, chain in chains if each == table}
        command = ["iptables", "--table", table]
        listed = subprocess.run(
            [*command, "--list-rules"], capture_output=True, text=True, check=True
        ).stdout
        for line in listed.splitlines():
            words = line.split()
            if words[0] == "-A" and words[-1] in of_table and words[1] not in of_table:
                subprocess.run([*command, "-D", *words[1:]], check=True)
        for flag in ("--flush", "--delete-chain"):
            for chain in sorted(of_table):
                subprocess.run([*command, flag, chain], check=True)
