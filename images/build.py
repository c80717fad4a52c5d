# ruff: noqa: INP001 - run by its path
"""Build the images of this folder's Dockerfiles, and print their sizes.

    images/build.py [NAME ...] [--push] [--by-content] [--dry-run]

With --by-content each is tagged with the hash of all that goes into it; with --dry-run nothing is
built. What else there is to say is said by variables, as to make: see SETTINGS.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = {
    "model-server": ("serving", "requirements/serving.txt"),
    "environment-builder": (
        "deployer/__init__.py",
        "deployer/redact.py",
        "deployer/python_env/__init__.py",
        "deployer/python_env/uv_output.py",
        "images/environment-builder",
        "requirements/deployer.txt",
    ),
    "deployer": ("deployer", "stack", "helm", "requirements/deployer.txt"),
    "models": ("serving", "stack", "requirements/models.txt"),
    "mlflow": (
        "images/mlflow/proxied_s3.py",
        "images/mlflow/proxied_s3.dist-info",
        "requirements/mlflow.txt",
    ),
    "airflow": ("dags", "images/airflow/projects.py", "requirements/airflow.txt"),
    "seldon-microservice": ("images/seldon-microservice", "requirements/seldon.txt"),
}
"""Each image, and the files of the repository that go into it."""
SETTINGS = {
    "BUILDER": "docker (with BuildKit) or buildah; a path to one",
    "REGISTRY": "what names begin with, such as registry.example/team; default: schnitzel",
    "TAG": "default: the project's version",
    "BASE": "the base image, a Debian 12",
    "PYTHON_MINOR": "the models' Python, such as 3.12, which BASE has",
    "CRANE_IMAGE": "an image with crane at /ko-app/crane",
    "CA_BUNDLE": "a file with the authorities to trust while building; none stays in an image",
    "PIP_CONF": "a pip.conf with your package index and its credentials; none stays in an image",
    "NETWORK": "the network while building, such as host",
}
ARGUMENTS = ("BASE", "PYTHON_MINOR", "CRANE_IMAGE")
"""Settings that change what is in an image."""


class BuildFailed(Exception):  # noqa: N818 - named for what happened
    """An image cannot be built; the hint says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def inputs(name: str) -> Iterator[Path]:
    """Yield the files that go into an image, relative to the repository."""
    for each in (*IMAGES[name], f"images/{name}/Dockerfile"):
        path = ROOT / each
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file.relative_to(ROOT) for file in files if _wanted(file))


def _wanted(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def content_hash(name: str) -> str:
    """Return the hash of all that goes into an image, 16 hex digits."""
    total = hashlib.sha256()
    for path in inputs(name):
        content = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
        total.update(f"{path.as_posix()}\0{content}\n".encode())
    total.update(json.dumps(_arguments(name)).encode())
    return total.hexdigest()[:16]


def _arguments(name: str) -> dict[str, str]:
    text = (ROOT / "images" / name / "Dockerfile").read_text(encoding="utf-8")
    return {
        key: os.environ[key] for key in ARGUMENTS if os.environ.get(key) and f"ARG {key}" in text
    }


def build(name: str, image: str) -> str:
    """Build one image; return its size, such as "158 MB"."""
    builder = _builder()
    buildah = "buildah" in Path(builder).name
    command = [builder, "build", *(["--format", "docker"] if buildah else []), "--tag", image]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    arguments = {**_arguments(name), "VERSION": version, "REVISION": _revision()}
    command += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    for secret, setting in (("ca", "CA_BUNDLE"), ("pip", "PIP_CONF")):
        if file := os.environ.get(setting):
            command += ["--secret", f"id={secret},src={file}"]
    if network := os.environ.get("NETWORK"):
        command += ["--network", network]
    # Only what goes into the image: no virtualenv that lies beside it, nothing that Python left.
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        for path in inputs(name):
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, place)
        command += ["--file", f"{folder}/images/{name}/Dockerfile", folder]
        _run(command, {"DOCKER_BUILDKIT": "1"}, show=True)
    if buildah:
        return _run([builder, "images", "--format", "{{.Size}}", image]).strip()
    size = int(_run([builder, "image", "inspect", "--format", "{{.Size}}", image]))
    return f"{size / 1e6:.0f} MB"


def push(image: str) -> None:
    """Push one image."""
    _run([_builder(), "push", image], show=True)


def _builder() -> str:
    builder = os.environ.get("BUILDER") or "docker"
    if shutil.which(builder) is None:
        hint = "Install Docker or buildah, or name one: make images BUILDER=/path/to/buildah"
        raise BuildFailed(f"{builder} is not on PATH.", hint)
    return builder


def _revision() -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _run(
    command: list[str], environment: dict[str, str] | None = None, *, show: bool = False
) -> str:
    """Run a command; return what it printed. Its progress goes to stderr, if it is to be shown."""
    output = None if show else subprocess.PIPE
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, text=True, check=False,
        stdout=sys.stderr if show else output, stderr=output,
    )  # fmt: skip
    if done.returncode:
        hint = "What it said stands above."
        if not show:
            hint = done.stderr.strip()
        elif command[1] == "build" and "buildah" not in command[0]:
            hint += " If it asks for BuildKit: install docker-buildx, or take BUILDER=buildah."
        raise BuildFailed(f"{' '.join(command[:2])} failed.", hint)
    return done.stdout or ""


def main(arguments: list[str]) -> int:
    """Build, and push if that is asked for; return the exit code."""
    says = "".join(f"\n  {name:14}{meaning}" for name, meaning in SETTINGS.items())
    parser = argparse.ArgumentParser(
        description="Build the images.", epilog=f"variables:{says}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(IMAGES)}")
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--by-content", action="store_true", help="tag each by what goes into it")
    parser.add_argument("--dry-run", action="store_true", help="only print what they are called")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(IMAGES):
        parser.error(f"there is no image {', '.join(sorted(unknown))}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    prefix = os.environ.get("REGISTRY") or "schnitzel"
    try:
        for name in given.names or IMAGES:
            tag = content_hash(name) if given.by_content else os.environ.get("TAG") or project
            image = f"{prefix}/{name}:{tag}"
            if given.dry_run:
                sys.stdout.write(f"{image}\n")
                continue
            size = build(name, image)
            if given.push:
                push(image)
            sys.stdout.write(f"{image}\t{size}\n")
            sys.stdout.flush()
    except BuildFailed as error:
        sys.stderr.write(f"error: {error}\n\nhint: {error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
