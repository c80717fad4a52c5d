"""`helm lint` has nothing to say, whichever way it is asked."""

import subprocess

import helm_python
import pytest


def test_lint_finds_nothing(folder, values_of, chart, case):
    report = helm_python.lint(folder / chart, values_of(chart, case), strict=True)
    assert report["errors"] == []
    worth_mending = [m for m in report["messages"] if m["severity"] > 1]  # 1 is information
    assert worth_mending == []


@pytest.mark.parametrize("which", ["model-server", "schnitzel", "seldon", "tfserving"])
def test_the_program_finds_nothing_in_the_default_values(helm, folder, which):
    command = [helm, "lint", "--strict", folder / which]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout
