"""Check a project, and print it as JSON: `python -m dags check FOLDER`, for `schnitzel`.

Exit code 2 and `error: ...`, an empty line and `hint: ...` on standard error if it is no project.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dags.errors import ProjectInvalid
from dags.project.definition import Project, load


def described(project: Project) -> dict[str, Any]:
    """Convert a project to plain data, with its steps as a list in their order."""
    found = project.model_dump(mode="json")
    found["steps"] = [{"name": name, **step} for name, step in found["steps"].items()]
    return {**found, "folder": str(project.folder)}


def main() -> int:
    """Check a project."""
    parser = argparse.ArgumentParser(prog="python -m dags", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("check").add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        project = load(folder)
    except ProjectInvalid as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(described(project), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
