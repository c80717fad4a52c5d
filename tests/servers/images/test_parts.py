"""What the environment builder is made of, each part by itself; and what images are made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def test_a_push_that_breaks_off_is_the_registrys_trouble_and_passes(part, tmp_path, monkeypatch):
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
    assert error.passing


def test_a_builder_that_is_not_there_is_said():
    done = subprocess.run(
        [sys.executable, ROOT / "images/build.py", "model-server"],
        env={**os.environ, "BUILDER": "/nowhere/docker"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: /nowhere/docker is not on PATH")
    assert "\n\nhint: " in done.stderr
