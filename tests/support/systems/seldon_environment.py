"""The environment of Seldon's microservice, as its image has it: made once, kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from support import ROOT

REQUIREMENTS = ROOT / "requirements" / "seldon.txt"


@lru_cache
def seldon_environment() -> Path:
    """The folder of the environment; made from requirements/seldon.txt where it is not there."""
    cache = Path(os.environ.get("SCHNITZEL_CACHE") or "~/.cache/schnitzel").expanduser()
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = cache / f"seldon-{digest}"
    done = folder / "complete"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / "seldon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            uv = Path(sys.executable).with_name("uv")
            _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder])
            python = folder / "bin" / "python"
            install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
            _run([*install, "--compile-bytecode", "-r", REQUIREMENTS])
            done.touch()
    return folder


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
