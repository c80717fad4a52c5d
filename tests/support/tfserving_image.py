"""The stand-in for TensorFlow Serving as an image: one layer on an environment with TensorFlow.

The program is `tensorflow_model_server` on the path, as in the real image.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

import tfserving_standin
from cluster import Cluster

PROGRAM = b"""#!/bin/sh
export PYTHONSAFEPATH= PYTHONPATH=/opt/standin:/opt/standin/packages TF_CPP_MIN_LOG_LEVEL=2
exec /opt/env/bin/python /opt/standin/tensorflow_model_server.py "$@"
"""


def standin_image(cluster: Cluster, environment: str) -> str:
    """Return the image's name, as nodes pull it.

    `environment` is the name, as nodes pull it, of an image with TensorFlow in /opt/env.
    """
    registry = f"{cluster.fact('registry_push')}/tfserving-standin"
    crane = [cluster.program("crane"), "--insecure"]
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.tar"
        _write(layer, Path(folder))
        tag = hashlib.sha256(layer.read_bytes() + environment.encode()).hexdigest()[:16]
        image = f"{registry}:{tag}"
        base = environment.replace(cluster.fact("registry_pull"), cluster.fact("registry_push"), 1)
        command = [*crane, "append", "-b", base, "-f", str(layer), "-t", image]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    digest = subprocess.run(
        [*crane, "digest", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{cluster.fact('registry_pull')}/tfserving-standin@{digest}"


def _write(layer: Path, folder: Path) -> None:
    """Write the layer: the program, its modules, and TensorFlow Serving's messages."""
    [packages] = tfserving_standin.interpreter().parents[1].glob("lib/python3.*/site-packages")
    program = folder / "program"
    program.write_bytes(PROGRAM)
    files = {
        path: f"opt/standin/{path.name}" for path in tfserving_standin.PROGRAM.parent.glob("*.py")
    }
    for path in (packages / "tensorflow_serving").rglob("*.py"):
        files[path] = f"opt/standin/packages/{path.relative_to(packages)}"
    files[program] = "usr/local/bin/tensorflow_model_server"
    with tarfile.open(layer, "w") as archive:
        for path, name in sorted(files.items(), key=lambda each: each[1]):
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o755
            with path.open("rb") as content:
                archive.addfile(info, content)
