"""The stand-in for TensorFlow Serving as an image: one layer on an environment with TensorFlow.

The program is `tensorflow_model_server` on the path, and what the image runs puts arguments before
those that it is given, as in the real image (tensorflow_serving/tools/docker/Dockerfile).
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

from support.systems import tfserving as tfserving_standin
from support.systems.cluster import Cluster
from support.systems.environment_builder import Builder
from support.systems.images import as_pushed, built

REQUIREMENTS = ["tensorflow-cpu==2.21.0", "grpcio==1.85.1"]
PROGRAM = b"""#!/bin/sh
export PYTHONSAFEPATH= PYTHONPATH=/opt/standin:/opt/standin/packages TF_CPP_MIN_LOG_LEVEL=2
exec /opt/env/bin/python /opt/standin/tensorflow_model_server.py "$@"
"""
ENTRYPOINT = b"""#!/bin/sh
tensorflow_model_server --port=8500 --rest_api_port=8501 --model_name=${MODEL_NAME:-model} \\
  --model_base_path=${MODEL_BASE_PATH:-/models}/${MODEL_NAME:-model} "$@"
"""


def standin_image(cluster: Cluster) -> str:
    """Return the image's name, as nodes pull it. The first time, 2 GB are built and pulled."""
    images = built(cluster, "model-server", "environment-builder")
    pushed = {name: as_pushed(cluster, image) for name, image in images.items()}
    registry = f"{cluster.fact('registry_push')}/tfserving-standin"
    crane = [cluster.program("crane"), "--insecure"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        builder = Builder(cluster, pushed, Path(folder, "environment"))
        environment = builder.environment("tensorflow", REQUIREMENTS)
        layer = Path(folder) / "layer.tar"
        _write(layer, Path(folder))
        tag = hashlib.sha256(layer.read_bytes() + environment.encode()).hexdigest()[:16]
        image = f"{registry}:{tag}"
        base = as_pushed(cluster, environment)
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


def _write(layer: Path, folder: Path) -> None:
    """Write the layer: the program, its modules, and TensorFlow Serving's messages."""
    [packages] = tfserving_standin.interpreter().parents[1].glob("lib/python3.*/site-packages")
    program, entrypoint = folder / "program", folder / "entrypoint"
    program.write_bytes(PROGRAM)
    entrypoint.write_bytes(ENTRYPOINT)
    files = {
        path: f"opt/standin/{path.name}" for path in tfserving_standin.PROGRAM.parent.glob("*.py")
    }
    for path in (packages / "tensorflow_serving").rglob("*.py"):
        files[path] = f"opt/standin/packages/{path.relative_to(packages)}"
    files[program] = "usr/local/bin/tensorflow_model_server"
    files[entrypoint] = "usr/bin/tf_serving_entrypoint.sh"
    with tarfile.open(layer, "w") as archive:
        for path, name in sorted(files.items(), key=lambda each: each[1]):
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o755
            with path.open("rb") as content:
                archive.addfile(info, content)
