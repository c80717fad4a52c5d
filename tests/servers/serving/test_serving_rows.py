"""Joining and cutting real frames and arrays, as the worker does.

In a process of its own: importing MLflow is slow.
"""

import subprocess
import sys
from pathlib import Path

CHECKS = Path(__file__).with_name("rows_checks.py")


def test_data_that_is_joined_and_cut_is_what_it_was(models):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(CHECKS), str(models)],
        cwd=Path(__file__).parents[3],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
