"""Run an image registry, a Docker that builds for it, and the base image in both."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from testcluster import images, roots
from testcluster.errors import ClusterError
from testcluster.layout import NODE_IP, Layout
from testcluster.programs import Program, answers, ensure, stop
from testcluster.stamps import once


def up(layout: Layout) -> list[str]:
    """Start what does not run of the registry and dockerd; both have the base image then.

    Returns:
        The names of the programs started.
    """
    docker = _dockerd(layout)
    started = ensure(layout, _registry(layout))

    def begin() -> None:
        """Docker's first start here, with what a cluster before left of it."""
        try:
            started.extend(ensure(layout, docker))
        except ClusterError as error:
            stop(layout, docker)
            roots.discard(layout, "docker", error.message)
            started.extend(ensure(layout, docker))
        if containers := _docker(layout, "ps", "--all", "--quiet").split():
            _docker(layout, "rm", "--force", "--volumes", *containers)
        _docker(layout, "image", "prune", "--force")

    once(layout, "docker", "", begin)
    started += ensure(layout, docker)
    _base(layout)
    return started


def _base(layout: Layout) -> None:
    archive = images.base_archive(layout.cache)
    remote = f"{NODE_IP}:{layout.ports['registry']}/base:bookworm"
    ids = _docker(layout, "images", "--no-trunc", "--quiet", images.BASE).split()
    if images.identifier(archive) not in ids:
        _docker(layout, "load", "-i", str(archive))
    push = [str(layout.bin / "crane"), "push", "--insecure", str(archive), remote]
    once(layout, "base", archive.name, lambda: _run(push), layout.roots / "registry")


def docker_host(layout: Layout) -> str:
    """Docker's address."""
    return f"unix://{layout.run}/docker.sock"


def _registry(layout: Layout) -> Program:
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(roots.folder(layout, "registry"))},
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
        "data-root": str(roots.folder(layout, "docker")),
        "exec-root": str(layout.run / "docker"),
        "pidfile": str(layout.run / "docker.pid"),
        # Out of the cluster's way: a build uses `--network host`.
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "5GB"}},
        "cgroup-parent": f"/{layout.cgroup}/docker",
        "insecure-registries": [f"{NODE_IP}:{layout.ports['registry']}"],
    }
    config = layout.config("docker.json", json.dumps(settings, indent=1))
    command: list[str | Path] = ["dockerd", "--config-file", config]
    return Program("dockerd", command, lambda: _docker_answers(layout), reads=[config], grace=15)


def _docker_answers(layout: Layout) -> bool:
    with suppress(ClusterError):
        return bool(_docker(layout, "version", "--format", "{{.Server.Version}}"))
    return False


def _docker(layout: Layout, *arguments: str) -> str:
    return _run(["docker", "--host", docker_host(layout), *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
