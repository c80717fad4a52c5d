"""In: a node. Out: an image registry, a Docker that builds for it, the base image in both."""

import json
import os
import subprocess
from pathlib import Path

from testcluster import images
from testcluster.errors import ClusterError
from testcluster.layout import NODE_IP, Layout
from testcluster.programs import Program, answers
from testcluster.stamps import once


def programs(layout: Layout) -> tuple[Program, Program]:
    """The registry and dockerd."""
    return _registry(layout), _dockerd(layout)


def base(layout: Layout) -> None:
    """Give Docker and the registry the base image."""
    archive = images.base_archive(layout.cache)
    remote = f"{NODE_IP}:{layout.ports['registry']}/base:bookworm"

    def load() -> None:
        _run(["docker", "load", "-i", str(archive)], {"DOCKER_HOST": docker_host(layout)})
        _run([str(layout.bin / "crane"), "push", "--insecure", str(archive), remote])

    once(layout, "base", archive.name, load)


def docker_host(layout: Layout) -> str:
    """Docker's address."""
    return f"unix://{layout.run}/docker.sock"


def _registry(layout: Layout) -> Program:
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.state / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{NODE_IP}:{layout.ports['registry']}"},
    }
    config = layout.config("registry.json", json.dumps(settings, indent=1))
    url = layout.url("registry") + "/v2/"
    command: list[str | Path] = ["docker-registry", "serve", config]
    return Program("registry", command, lambda: answers(url), reads=[config])


def _dockerd(layout: Layout) -> Program:
    settings = {
        "hosts": [docker_host(layout)],
        "data-root": str(layout.state / "docker"),
        "exec-root": str(layout.run / "docker"),
        "pidfile": str(layout.run / "docker.pid"),
        # Out of the cluster's way: a build uses `--network host`.
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "cgroup-parent": f"/{layout.cgroup}/docker",
        "insecure-registries": [f"{NODE_IP}:{layout.ports['registry']}"],
    }
    config = layout.config("docker.json", json.dumps(settings, indent=1))
    command: list[str | Path] = ["dockerd", "--config-file", config]
    return Program("dockerd", command, lambda: _docker_answers(layout), reads=[config], grace=15)


def _docker_answers(layout: Layout) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    environment = os.environ | {"DOCKER_HOST": docker_host(layout)}
    seen = subprocess.run(command, check=False, capture_output=True, env=environment)
    return seen.returncode == 0


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | (environment or {})
    )
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
