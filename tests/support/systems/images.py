"""This checkout's images, and those before it, in the test cluster's registry: built once each."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from support import ROOT
from support.systems.cluster import Cluster

NAMES = ("model-server", "environment-builder", "deployer")
PARTS = ("deployer", "stack", "serving", "helm", "images", "requirements", "pyproject.toml")
"""What the Deployer and the images are made of."""


@lru_cache
def built(cluster: Cluster, *names: str, root: Path = ROOT) -> dict[str, str]:
    """Each image's name, by digest, as nodes pull it: "localhost:5010/model-server@sha256:...".

    Takes a minute or two when something changed, else a second. `root` may be another checkout:
    the images of an older version, for tests of upgrades.
    """
    build = [sys.executable, root / "images/build.py", "--by-content"]
    with _alone():
        env = _environment(cluster)
        wanted = names or NAMES
        called = _called(root, wanted, env)
        found = {}
        for name, image in zip(wanted, called, strict=True):
            if not _digest(cluster, image):
                sys.stderr.write(_run([*build, "--push", name], env))
            found[name] = f"{cluster.fact('registry_pull')}/{name}@{_digest(cluster, image)}"
    return found


@dataclass(frozen=True)
class Previous:
    """What an upgrade begins from: a checkout, its model server's image, and which it is."""

    root: Path
    server: str
    told: str


def previous(cluster: Cluster, folder: Path) -> Previous:
    """The commit before what is checked out here: HEAD where files differ from it, else HEAD~1.

    Where there is no earlier commit (a shallow clone, no git), or its model server is the same byte
    for byte, a line is added to a module that the server runs: the two images differ in any case.
    """
    told = _earlier(folder)
    if not told:
        told = "this same checkout (there is no commit before it)"
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
    names, env = ("model-server",), _environment(cluster)
    if _called(folder, names, env) == _called(ROOT, names, env):
        with (folder / "serving/__main__.py").open("a") as file:
            file.write("# The version before this one.\n")
        told += ", its model server being the present one with a line more"
    server = built(cluster, *names, root=folder)["model-server"]
    present = built(cluster, *names)["model-server"]
    layers = [set(_layers(cluster, image)) for image in (server, present)]
    assert layers[0] != layers[1], f"{server} and {present} have the same files"
    return Previous(folder, server, told)


def push_reference(cluster: Cluster, image: str) -> str:
    """The same image as Jobs, and programs of this machine, reach it."""
    return image.replace(cluster.fact("registry_pull"), cluster.fact("registry_push"), 1)


def docker() -> str:
    """A docker that can drive BuildKit: one with buildx, or one so old that it needs none."""
    for folder in os.environ["PATH"].split(os.pathsep):
        found = shutil.which("docker", path=folder)
        if found is None:
            continue
        version = _status([found, "--version"]).stdout.split()[2:3]
        major = int(version[0].split(".")[0]) if version else 0
        if 18 <= major < 23 or _status([found, "buildx", "version"]).returncode == 0:
            return found
    raise AssertionError("no docker on PATH can use BuildKit: install docker-buildx")


def _earlier(folder: Path) -> str:
    """Put the commit before the present files into a folder; says which, "" if there is none."""
    git = ("git", "-C", ROOT)
    if shutil.which("git") is None:
        return ""
    changed = _status([*git, "status", "--porcelain", "--", *PARTS]).stdout.strip()
    commit = "HEAD" if changed else "HEAD~1"
    if _status([*git, "cat-file", "-e", f"{commit}:images/build.py"]).returncode:
        return ""
    packed = subprocess.run(
        [*git, "archive", "--format=tar", commit], check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return f"the commit {_run([*git, 'rev-parse', '--short', commit], dict(os.environ)).strip()}"


def _called(root: Path, names: tuple[str, ...], env: dict[str, str]) -> list[str]:
    """What a checkout's images are called, by what goes into them."""
    build = [sys.executable, root / "images/build.py", "--by-content", "--dry-run"]
    return _run([*build, *names], env).split()


def _environment(cluster: Cluster) -> dict[str, str]:
    """What images/build.py and docker have to know about this cluster."""
    program = docker()
    env = {
        **os.environ,
        "BUILDER": program,
        "DOCKER_HOST": cluster.fact("docker_host"),
        "REGISTRY": cluster.fact("registry_push"),
        "NETWORK": "host",
    }
    if bundle := cluster.facts.get("ca_bundle"):
        env["CA_BUNDLE"] = bundle
    if base := cluster.facts.get("base_image"):
        env["BASE"] = base
        _run([program, "pull", "--quiet", base], env)
    if "bin" in cluster.facts:
        env["CRANE_IMAGE"] = _crane_image(program, Path(cluster.program("crane")), env)
    return env


def _crane_image(program: str, crane: Path, env: dict[str, str]) -> str:
    """An image with the crane that was built for the cluster, where the official one has it."""
    name = f"localhost/crane:{crane.resolve().name}"
    if _status([program, "image", "inspect", name], env).returncode:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(crane, Path(folder, "crane"))
            Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY crane /ko-app/crane\n")
            _run(
                [program, "build", "--quiet", "--tag", name, folder], env | {"DOCKER_BUILDKIT": "1"}
            )
    return name


def _digest(cluster: Cluster, image: str) -> str:
    """An image's digest in the registry, or "" if it is not there."""
    return _status([cluster.program("crane"), "digest", "--insecure", image]).stdout.strip()


def _layers(cluster: Cluster, image: str) -> list[str]:
    """The digests of an image's layers."""
    crane = [cluster.program("crane"), "manifest", "--insecure", push_reference(cluster, image)]
    return [layer["digest"] for layer in json.loads(_run(crane, dict(os.environ)))["layers"]]


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time on this machine."""
    cache = Path(os.environ.get("SCHNITZEL_CACHE", "~/.cache/schnitzel")).expanduser()
    path = cache / "images.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _status(
    command: list[str | Path], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def _run(command: list[str | Path], env: dict[str, str]) -> str:
    done = _status(command, env)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout
