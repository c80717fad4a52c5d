"""Register project folders in a home, and check them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, UsageError, unknown

if TYPE_CHECKING:
    from pathlib import Path

Project = dict[str, Any]


def projects(home: Path) -> list[Project]:
    """List the registered projects by name, each with its folder."""
    found = []
    for file in sorted((home / "projects").glob("*.json")):
        try:
            found.append(json.loads(file.read_text()))
        except ValueError as error:
            raise CommandError(
                f"{file} is no JSON: {error}", f"register the project again, or remove {file}"
            ) from None
    return found


def project(home: Path, name: str) -> Project:
    """Find a registered project.

    Raises:
        UsageError: there is none; the hint is the closest name or how to register one.
    """
    found = {each["name"]: each for each in projects(home)}
    if name not in found:
        raise unknown("project", name, found, "register it: schnitzel project add FOLDER")
    return found[name]


def unregister(home: Path, name: str) -> None:
    """Remove a project's registration."""
    (home / "projects" / f"{name}.json").unlink(missing_ok=True)


def check(folder: Path) -> Project:
    """Validate a project's project.yaml; return its name, owner, model and steps.

    The schema belongs to `dags`, which the CLI does not import; a child process checks the file.

    Raises:
        UsageError: the folder or its project.yaml is wrong; the message names the field.
    """
    from stack.settings import code_environment

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give the folder that has project.yaml in it")
    done = subprocess.run(
        [sys.executable, "-m", "dags", "check", str(folder)],
        env={**os.environ, **code_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        found: Project = json.loads(done.stdout)
        return found
    message, _, hint = done.stderr.strip().partition("\n\nhint: ")
    error = UsageError if done.returncode == 2 else CommandError
    raise error(message.removeprefix("error: ") or f"{folder} cannot be checked", hint)


def register(home: Path, name: str, folder: Path) -> Path:
    """Write a project's registration, and return its file."""
    file = home / "projects" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({"name": name, "path": str(folder)}, indent=2) + "\n")
    draft.replace(file)
    return file
