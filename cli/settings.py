"""Read the platform's settings, as the Deployer resolves them.

The CLI asks the Deployer in a child process, because the CLI never imports it. That takes a good
part of a second, so the settings are cached in the home until platform.yaml or a variable changes.
The cache holds no secret: settings name credentials by reference.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cli.errors import CommandError

Settings = dict[str, Any]

DEFAULT_PORTS = {
    "mlflow": 5000,
    "airflow": 8080,
    "deployer": 8090,
    "gateway": 8000,
    "gateway_api": 8001,
}


def ports(home: Path) -> dict[str, int]:
    """Return the port of each component: as `up` recorded, else the default."""
    try:
        recorded = json.loads((home / "ports.json").read_text())
    except (OSError, ValueError):
        recorded = {}
    return {**DEFAULT_PORTS, **recorded}


def settings_file(home: Path) -> Path:
    """Return the path of platform.yaml, whether or not it exists."""
    return Path(os.environ.get("SCHNITZEL_PLATFORM") or home / "platform.yaml")


def customised(home: Path) -> bool:
    """Return whether platform.yaml or a variable changes the platform's defaults."""
    return settings_file(home).is_file() or any(
        name.startswith("SCHNITZEL_") and "__" in name for name in os.environ
    )


def platform_settings(home: Path) -> Settings:
    """Return the resolved settings of platform.yaml and SCHNITZEL_*.

    Raises:
        CommandError: they are invalid; the message is the Deployer's and names the field.
    """
    kept = home / "run" / "settings.json"
    key = _cache_key(home)
    with suppress(OSError, ValueError, KeyError):
        found = json.loads(kept.read_text())
        if found["key"] == key:
            return found["settings"]  # type: ignore[no-any-return]
    settings = _resolve()
    if home.is_dir():
        with suppress(OSError):
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            draft = kept.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({"key": key, "settings": settings}))
            draft.replace(kept)
    return settings


def _cache_key(home: Path) -> str:
    found = sorted(item for item in os.environ.items() if item[0].startswith("SCHNITZEL_"))
    file = settings_file(home)
    text = file.read_bytes() if file.is_file() else b""
    return hashlib.sha256(repr((sys.executable, found)).encode() + text).hexdigest()


def _resolve() -> Settings:
    from stack.settings import code_environment

    done = subprocess.run(
        [sys.executable, "-m", "deployer", "settings", "--json"],
        env={**os.environ, **code_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        settings: Settings = json.loads(done.stdout)
        return settings
    message, _, hint = done.stderr.strip().partition("\n\nhint: ")
    raise CommandError(
        message.removeprefix("error: ") or "the settings cannot be read",
        hint or "see what is wrong: schnitzel doctor",
    )
