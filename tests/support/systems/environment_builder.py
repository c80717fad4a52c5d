"""The environment builder, run on this machine as a Job runs it on a cluster."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from support.models import REQUIREMENTS, SMALL
from support.systems.cluster import Cluster
from support.systems.images import built, docker, push_reference

USER = 65532
SECONDS = 600


class Ended(NamedTuple):
    """How a build ended: its exit status, its termination message, stdout and stderr."""

    status: int
    said: dict[str, Any]
    out: str
    err: str

    @property
    def lock(self) -> str:
        """The lock that it printed."""
        begin = f"-----BEGIN LOCK {self.said['lock']}-----\n"
        return self.out.partition(begin)[2].partition("-----END LOCK-----")[0]


class Builder:
    """Runs the environment builder: as 65532, without a capability, on a read-only root."""

    def __init__(self, cluster: Cluster, images: dict[str, str], folder: Path) -> None:
        self._cluster, self._images, self._folder = cluster, images, folder
        self.push = f"{cluster.fact('registry_push')}/environments"
        self.count = 0

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "python": "3.11.7",
            "requirements": [],
            "constraints": [],
            "options": [],
            "lock": None,
            "base": self._images["model-server"],
            "push": self.push,
            "tag": f"test-{secrets.token_hex(8)}",
            "wheels_only": True,
            "insecure": True,
            **changes,
        }

    def run(
        self, request: dict[str, Any], given: dict[str, str] | None = None, *, room: str = ""
    ) -> Ended:
        """Run a build to its end; `room` bounds the environment's volume, such as "1m"."""
        return self._run([], request, given, room)

    def environment(self, name: str, requirements: list[str]) -> str:
        """An image with these, as nodes pull it: built once, then put on each server image."""
        tag = f"{name}-" + hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:16]
        request = self.request(requirements=requirements, tag=tag)
        folder = Path(os.environ.get("SCHNITZEL_CACHE", "~/.cache/schnitzel")).expanduser()
        folder = folder / "testcluster"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{tag}.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            known = lock.read()
            seen = subprocess.run(
                [self._cluster.program("crane"), "digest", "--insecure", f"{self.push}:{tag}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if known and seen.returncode == 0:
                environment = f"{self.push}@{seen.stdout.strip()}"
                request |= {"lock": known, "environment": environment}
            made = self.run(request)
            assert made.status == 0, made.err
            lock.truncate(0)
            lock.write(made.lock)
        digest = made.said["image"].partition("@")[2]
        return f"{self._cluster.fact('registry_pull')}/environments@{digest}"

    def remove(self, *digests: str, **changes: Any) -> Ended:
        """Run a removal to its end."""
        request = {"repository": self.push, "digests": digests, "insecure": True, **changes}
        return self._run(["/opt/builder/remove.py", json.dumps(request)], {}, None, "")

    def _run(
        self, program: list[str], request: dict[str, Any], given: dict[str, str] | None, room: str
    ) -> Ended:
        self.count += 1
        folder = self._folder / str(self.count)
        volumes = {"env": "/opt/env", "tmp": "/tmp"}  # noqa: S108 - the container's
        for name in volumes:
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o777)
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "termination-log").touch(0o666)
        (folder / "termination-log").chmod(0o666)
        mounts = [f"-v={folder / name}:{place}" for name, place in volumes.items()]
        if room:
            mounts[0] = f"--tmpfs=/opt/env:size={room},mode=1777"
        mounts += [
            f"-v={folder}/request.json:/etc/build/request.json:ro",
            f"-v={folder}/termination-log:/dev/termination-log",
        ]
        variables = dict(given or {})
        if bundle := self._cluster.facts.get("ca_bundle"):
            mounts.append(f"-v={bundle}:/etc/build-ca/ca.crt:ro")
            variables["SSL_CERT_FILE"] = "/etc/build-ca/ca.crt"
        if (config := self._folder / "registry-login").is_dir():
            mounts.append(f"-v={config}:/etc/registry:ro")
            variables["DOCKER_CONFIG"] = "/etc/registry"
        client, env = docker(), {**os.environ, "DOCKER_HOST": self._cluster.fact("docker_host")}
        container = f"build-{secrets.token_hex(6)}"
        command = [
            *(client, "run", f"--name={container}", "--network=host", "--read-only"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={USER}:{USER}"),
            f"--add-host=registry.example:{self._cluster.fact('node_ip')}",
            *(f"--env={name}={value}" for name, value in variables.items()),
            *(["--entrypoint=/usr/bin/python3.11"] if program else []),
            *(*mounts, self._images["environment-builder"], *program),
        ]
        try:
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        finally:  # it would outlive its client
            gone = [client, "rm", "--force", container]
            subprocess.run(gone, env=env, capture_output=True, check=False)
        said = (folder / "termination-log").read_text()
        assert said or program, done.stderr
        return Ended(done.returncode, json.loads(said or "{}"), done.stdout, done.stderr)


@cache
def small_image(cluster: Cluster) -> str:
    """An image that serves the models of support/models.py, but for scikit-learn's."""
    images = {
        name: push_reference(cluster, image)
        for name, image in built(cluster, "model-server", "environment-builder").items()
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return Builder(cluster, images, Path(folder)).environment("small", SMALL)


def sklearn_image(cluster: Cluster, images: dict[str, str], folder: Path) -> str:
    """An image that serves scikit-learn models, as nodes pull it."""
    return Builder(cluster, images, folder).environment("sklearn", REQUIREMENTS)
