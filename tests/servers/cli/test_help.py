"""Help: complete, light and quick to read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = ("mlflow", "airflow", "kubernetes", "rich", "httpx", "yaml", "pydantic", "requests")


def in_a_process(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    code = (
        "import sys\nfrom cli.main import run\ncode = run(sys.argv[1:])\n"
        "sys.stderr.write('MODULES ' + ' '.join(sys.modules))\nsys.exit(code)\n"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCHNITZEL_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("deploy", "--help")])
def test_help_imports_nothing_heavy_and_no_other_command(arguments: tuple[str, ...]) -> None:
    done = in_a_process(*arguments)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.rpartition("MODULES ")[2].split())
    assert not modules & set(HEAVY)
    commands = {name for name in modules if name.startswith("cli.commands.")}
    deploy = {"cli.commands.deploy", "cli.commands.deploy.rollout"}
    assert commands == (deploy if "deploy" in arguments else set())


def test_running_a_command_imports_no_pydantic_and_no_rich(tmp_path: Path) -> None:
    done = in_a_process("project", "list", "-o", "json", SCHNITZEL_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not set(done.stderr.rpartition("MODULES ")[2].split()) & set(HEAVY)


def test_completion_of_a_command_imports_none(tmp_path: Path) -> None:
    done = in_a_process(
        "--help", _SCHNITZEL_COMPLETE="complete_bash", COMP_WORDS="schnitzel dep", COMP_CWORD="1"
    )
    assert done.stdout.split() == ["deploy"]
