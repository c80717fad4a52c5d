"""A step's environment variables in, its input and output folders and its settings out.

The platform hands a step nothing but environment variables; folders are URIs. To run a step by
hand, set them: see the README.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

SKIP = 99
"""The exit code that says: skipped, and my last line says why."""


def folder(uri: str) -> Path:
    """The local folder of a file:// URI (or of a plain path)."""
    return Path(url2pathname(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)


def output() -> Path:
    """The folder that this step writes to."""
    made = folder(os.environ["SCHNITZEL_OUTPUT"])
    made.mkdir(parents=True, exist_ok=True)
    return made


def input_from(step: str) -> Path:
    """The folder that a step before this one wrote to."""
    return folder(os.environ[f"SCHNITZEL_INPUT_{step.upper()}"])


def write(name: str, content: dict[str, Any]) -> None:
    """Hand a small JSON file to the steps that follow."""
    (output() / name).write_text(json.dumps(content, indent=2) + "\n")


def read(step: str, name: str) -> dict[str, Any]:
    """What an earlier step handed over."""
    found: dict[str, Any] = json.loads((input_from(step) / name).read_text())
    return found
