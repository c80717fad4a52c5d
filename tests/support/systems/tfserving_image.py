"""TensorFlow Serving as an image: its stand-in with TensorFlow, or its stub for constant models.

The program is `tensorflow_model_server` on the path, and what the image runs puts arguments before
those that it is given, as in the real image (tensorflow_serving/tools/docker/Dockerfile).
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

from support import ROOT
from support.systems import tfserving as tfserving_standin
from support.systems.cluster import Cluster
from support.systems.environment_builder import Builder
from support.systems.images import built, push_reference

REQUIREMENTS = ["tensorflow-cpu==2.21.0", "grpcio==1.85.1"]
STANDIN = ROOT / "tests/standins/tfserving"
PROGRAM = """#!/bin/sh
export PYTHONSAFEPATH= PYTHONPATH=/opt/standin:/opt/standin/packages TF_CPP_MIN_LOG_LEVEL=2
exec {python} /opt/standin/{module}.py "$@"
"""
ENTRYPOINT = """#!/bin/sh
tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name=${MODEL_NAME:-model} \\
  --model_base_path=${MODEL_BASE_PATH:-/models}/${MODEL_NAME:-model} "$@"
"""


@cache
def standin_image(cluster: Cluster) -> str:
    """Return the stand-in's name, as nodes pull it. The first time, 2 GB are built and pulled."""
    images = built(cluster, "model-server", "environment-builder")
    pushed = {name: push_reference(cluster, image) for name, image in images.items()}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        builder = Builder(cluster, pushed, Path(folder))
        base = push_reference(cluster, builder.environment("tensorflow", REQUIREMENTS))
    [packages] = tfserving_standin.interpreter().parents[1].glob("lib/python3.*/site-packages")
    files = {f"packages/{path.relative_to(packages)}": path.read_bytes()
             for path in (packages / "tensorflow_serving").rglob("*.py")}  # fmt: skip
    files |= {path.name: path.read_bytes() for path in STANDIN.glob("*.py")}
    program = PROGRAM.format(python="/opt/env/bin/python", module="tensorflow_model_server")
    return _image(cluster, base, program, files)


@cache
def stub_image(cluster: Cluster) -> str:
    """Return the stub's name, as nodes pull it: one small layer on Debian's Python."""
    files = {name: (STANDIN / name).read_bytes() for name in ("stub.py", "flags.py")}
    program = PROGRAM.format(python="/usr/bin/python3", module="stub")
    return _image(cluster, cluster.fact("base_image"), program, files)


def _image(cluster: Cluster, base: str, program: str, files: Mapping[str, bytes]) -> str:
    """Put the program and its files on an image."""
    registry = f"{cluster.fact('registry_push')}/tfserving-standin"
    crane = [cluster.program("crane"), "--insecure"]
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder, "layer.tar")
        _write(layer, program, files)
        tag = hashlib.sha256(layer.read_bytes() + base.encode()).hexdigest()[:16]
        image = f"{registry}:{tag}"
        for command in (
            ["append", "-b", base, "-f", str(layer), "-t", image],
            ["mutate", "--entrypoint=/usr/bin/tf_serving_entrypoint.sh", "-t", image, image],
        ):
            done = subprocess.run([*crane, *command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    digest = subprocess.run(
        [*crane, "digest", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{cluster.fact('registry_pull')}/tfserving-standin@{digest}"


def _write(layer: Path, program: str, files: Mapping[str, bytes]) -> None:
    named = {f"opt/standin/{name}": content for name, content in files.items()}
    named["usr/local/bin/tensorflow_model_server"] = program.encode()
    named["usr/bin/tf_serving_entrypoint.sh"] = ENTRYPOINT.encode()
    with tarfile.open(layer, "w") as archive:
        for name, content in sorted(named.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, BytesIO(content))
