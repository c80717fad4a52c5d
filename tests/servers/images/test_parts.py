"""What the environment builder is made of, each part alone; and what images are made from."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.systems.package_index import PackageIndex

ROOT = Path(__file__).parents[3]


def test_a_push_that_breaks_off_is_the_registrys_problem_and_transient(part, tmp_path, monkeypatch):
    (tmp_path / "crane").symlink_to("/bin/false")  # ends before it has read the layer
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    parts = part("environment-builder/registry")
    base = parts.Image("r.example/server@sha256:1", {}, {})

    def write(into):
        for _ in range(2000):
            into.write(b"x" * 1000)
        return 0

    with pytest.raises(Exception, match=r"does not take or give") as caught:
        parts.Registry(insecure=False).append(base, write, "r.example/envs:1")
    error: Any = caught.value
    assert error.reason == "ImageRegistryUnreachable"
    assert error.transient


def test_the_wheels_of_a_model_are_locked_by_their_digests_and_installed(
    part, tmp_path, monkeypatch
):
    name = "carried-0.1-py3-none-any.whl"
    with closing(PackageIndex()) as index:
        index.publish("carried", "0.1")
        content = index.wheels[name]
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / name).write_bytes(content)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    digest = hashlib.sha256(content).hexdigest()
    asked: dict[str, Any] = {
        "python": "3.11",
        "requirements": [f"./wheels/{name}"],
        "wheels": [{"name": name, "sha256": digest}],
    }
    parts, work, environment = part("environment-builder/packages"), tmp_path / "1", tmp_path / "e"
    work.mkdir()
    packages = parts.Packages(asked, environment, work, tmp_path / "wheels")
    lock = packages.lock()
    assert f"--hash=sha256:{digest}" in lock
    assert str(tmp_path) not in lock
    packages.install(lock)
    code = "import carried; print(carried.VERSION)"
    python = environment / "bin" / "python"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0.1\n"

    asked["wheels"][0]["sha256"] = "0" * 64
    with pytest.raises(Exception, match=f"{name} is not the one") as caught:
        parts.Packages(asked, environment, work, tmp_path / "wheels")
    error: Any = caught.value
    assert error.reason == "ArtifactCorrupt"


def test_a_builder_that_is_not_there_is_said():
    done = subprocess.run(
        [sys.executable, ROOT / "images/build.py", "model-server"],
        env={**os.environ, "BUILDER": "/nowhere/docker"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: /nowhere/docker is not on PATH")
    assert "\n\nhint: " in done.stderr
