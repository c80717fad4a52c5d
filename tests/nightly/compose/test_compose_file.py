"""docker-compose.yml as Docker Compose itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support import ROOT
from support.systems.docker import docker_compose


def test_docker_compose_reads_it_and_warns_of_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    done = subprocess.run(
        [docker_compose(), "--profile", "*", "config", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
