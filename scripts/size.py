"""Name the modules that grew past one job's length, and the rooms that hold too many of them."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

MOST_MODULES = 12
LISTS = ("cli/commands",)
"""Rooms of which each module is one entry of a list that people know: one for each command."""
MOST_LINES = 300  # about 250 is the aim; a docstring more must not cost a day
PACKAGES = ("cli", "deployer", "serving", "dags", "stack")
RECONCILE_PASS = ("deployer/controller/reconcile.py", "run", 80)


def main() -> int:
    """0 if every module is short enough."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
         *(f"{package}/*.py" for package in PACKAGES)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    lengths = {path: len(Path(path).read_text().splitlines()) for path in listed.stdout.split()}
    long = {path: length for path, length in lengths.items() if length > MOST_LINES}
    for path, length in sorted(long.items()):
        sys.stderr.write(f"{path}: {length} lines; split it by its jobs (most: {MOST_LINES})\n")
    rooms = Counter(str(Path(path).parent) for path in lengths if not path.endswith("__init__.py"))
    full = {room: count for room, count in rooms.items() if count > MOST_MODULES}
    for room in LISTS:
        full.pop(room, None)
    for room, count in sorted(full.items()):
        sys.stderr.write(f"{room}: {count} modules; make rooms of it (most: {MOST_MODULES})\n")
    path, start, most = RECONCILE_PASS
    tree = ast.parse(Path(path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    [run] = [node for node in functions if node.name == start]
    length = (run.end_lineno or run.lineno) - run.lineno + 1
    if length > most:
        sys.stderr.write(f"{path}: the pass has {length} lines (most: {most})\n")
        return 1
    return 1 if long or full else 0


if __name__ == "__main__":
    sys.exit(main())
