"""In: the tracked modules. Out: a failure that names those that grew past one job's length."""

import ast
import subprocess
import sys
from pathlib import Path

MOST_LINES = 300  # about 250 is the aim; a docstring more must not cost a day
PACKAGES = ("cli", "deployer", "serving", "dags", "stack")
RECONCILE_PASS = ("deployer/controller/reconcile.py", "run", 80)


def main() -> int:
    """0 if every module is short enough."""
    listed = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    lengths = {path: len(Path(path).read_text().splitlines()) for path in listed.stdout.split()}
    long = {path: length for path, length in lengths.items() if length > MOST_LINES}
    for path, length in sorted(long.items()):
        sys.stderr.write(f"{path}: {length} lines; split it by its jobs (most: {MOST_LINES})\n")
    path, start, most = RECONCILE_PASS
    tree = ast.parse(Path(path).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    [run] = [node for node in functions if node.name == start]
    length = (run.end_lineno or run.lineno) - run.lineno + 1
    if length > most:
        sys.stderr.write(f"{path}: the pass has {length} lines (most: {most})\n")
        return 1
    return 1 if long else 0


if __name__ == "__main__":
    sys.exit(main())
