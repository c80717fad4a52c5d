# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""A build's request (JSON) goes in; an image with a model's exact environment is in the registry.

    build.py REQUEST_JSON [--termination-file PATH]

The request: `python` ("3.11.7"), `requirements`, `constraints`, `options` (package indexes that the
requirements name, as pip's options), `lock` (made before; null: to be made), `base` (the server
image), `push` (a repository), `tag`, `wheels_only`, `insecure` (the registry speaks plain HTTP),
`wheels` (optional: `name` and `sha256` of each that lies in /mnt/wheels; requirements name them
"./wheels/NAME"), `environment` (optional: an image that has this environment, perhaps on another
base; if its lock is the wanted one, its layer is put on `base`, and nothing is built), `labels`
(optional: whose it is).

The image is `base` and one layer with /opt/env. One that is there already, with this lock on this
base and these labels, is left alone. On stdout: the lock, between BEGIN LOCK and END LOCK. On
stderr: how it goes. To the termination file: {"image", "lock", "python", "bytes", "seconds"}, or
{"reason", "message", "hint"}. `bytes` are those of the layer as it is stored.

Exit codes: 0 the image is there; 1 it cannot be; 2 wrong use; 75 not now (EX_TEMPFAIL).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import layer
from failures import Failed, report, write_termination_message
from packages import Packages, absent
from registry import Image, Registry

NOT_NOW = 75
ENVIRONMENT = Path("/opt/env")
LOCK, BASE, PYTHON = "schnitzel.dev/lock", "schnitzel.dev/base", "schnitzel.dev/python"
NEEDED = {"python": str, "requirements": list, "base": str, "push": str, "tag": str}


def build(request: dict[str, Any], work: Path) -> tuple[dict[str, Any], str]:
    """Have the image in the registry; return what it is, and its lock."""
    begin = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"==> {text} ({time.monotonic() - begin:.1f} s)\n")
        sys.stderr.flush()

    registry = Registry(insecure=bool(request.get("insecure")))
    name = f"{request['push']}:{request['tag']}"
    base = registry.find(request["base"])
    if base is None:
        raise Failed(
            "ImageMissing",
            f"There is no server image {request['base']}.",
            "Push it (make images-push), or correct server_image of the cluster in platform.yaml.",
        )
    packages = Packages(request, ENVIRONMENT, work)
    if not _same_minor(base.labels.get(PYTHON, request["python"]), request["python"]):
        raise absent(request["python"])
    lock = request.get("lock") or ""
    if not lock:
        say("choosing versions")
        lock = packages.lock()
    key = hashlib.sha256(lock.encode()).hexdigest()
    labels = {**(request.get("labels") or {}), LOCK: key, BASE: base.digest}
    there = registry.find(name)
    if there and labels.items() <= there.labels.items():
        say("it is there already")
        return _said(there, request["push"], begin), lock
    donor = _donor(registry, request, key)
    if donor is None:
        say("installing")
        packages.install(lock)
        say(f"pushing {name}")
        plain = registry.append(base, lambda pipe: layer.write(ENVIRONMENT, pipe), name)
        registry.assemble(base, plain, labels | {PYTHON: packages.version()}, name)
        with suppress(Failed):  # where nothing may be deleted, it stays without a name
            registry.delete(plain.name)
    else:
        say(f"taking the environment of {donor.name}")
        registry.assemble(base, donor, labels | {PYTHON: donor.labels[PYTHON]}, name)
    made = registry.find(name)
    if made is None:
        raise Failed(
            "ImageRegistryUnreachable", f"{name} was pushed, and is not there.", "", transient=True
        )
    return _said(made, request["push"], begin), lock


def _donor(registry: Registry, request: dict[str, Any], key: str) -> Image | None:
    """Return the image that has the wanted environment, if there is one in the repository."""
    name = request.get("environment") or ""
    if not name.startswith(f"{request['push']}@"):
        return None
    found = registry.find(name)
    if found is None or found.labels.get(LOCK) != key:
        return None
    return found if _same_minor(found.labels.get(PYTHON, ""), request["python"]) else None


def _same_minor(one: str, other: str) -> bool:
    return one.split(".")[:2] == other.split(".")[:2]


def _said(image: Image, repository: str, begin: float) -> dict[str, Any]:
    return {
        "image": f"{repository}@{image.digest}",
        "lock": image.labels[LOCK],
        "python": image.labels[PYTHON],
        "bytes": image.manifest["layers"][-1]["size"],
        "seconds": round(time.monotonic() - begin, 1),
    }


def read(path: str) -> dict[str, Any]:
    """Return the request in a file. Raises ValueError that names what is wrong."""
    request = json.loads(Path(path).read_bytes())
    if not isinstance(request, dict):
        raise ValueError(f"{path} is not a JSON object")  # noqa: TRY004 - what main reports
    for field, kind in NEEDED.items():
        if not isinstance(request.get(field), kind) or not request[field]:
            raise ValueError(f"{path}: '{field}' is missing")
    return request


def main(arguments: list[str]) -> int:
    """Build what the request asks for; return the exit code."""
    parser = argparse.ArgumentParser(description="Build a model's environment as an image.")
    parser.add_argument("request")
    parser.add_argument("--termination-file", default="/dev/termination-log", type=Path)
    given = parser.parse_args(arguments)
    # A container's first process hears no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(NOT_NOW))
    try:
        request = read(given.request)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n\nhint: give the request that the Deployer wrote\n")
        return 2
    said: dict[str, Any]
    try:
        with tempfile.TemporaryDirectory(prefix="build-") as work:
            said, lock = build(request, Path(work))
    except Failed as error:
        return _failed(error, given.termination_file)
    except OSError as error:
        why = f"The environment cannot be kept: {error.strerror or error}."
        hint = "Give the build's volumes more room, or free some on the node."
        return _failed(
            Failed("EnvironmentUnbuildable", why, hint, transient=True), given.termination_file
        )
    sys.stdout.write(f"-----BEGIN LOCK {said['lock']}-----\n{lock}-----END LOCK-----\n")
    write_termination_message(given.termination_file, said)
    return 0


def _failed(error: Failed, termination_file: Path) -> int:
    report(error, termination_file)
    return NOT_NOW if error.transient else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
