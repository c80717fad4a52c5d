"""Completion: the names of things, from a cache that lasts for seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.shell import completion

ROOT = Path(__file__).parents[3]
HEAVY = ("mlflow", "airflow", "kubernetes", "rich", "httpx", "pydantic")


@pytest.fixture
def environments(deployer):
    found = [{"name": "prod"}, {"name": "staging"}]
    deployer.answer("GET", "/api/v1/environments", {"environments": found})
    return deployer


def test_versions_are_completed_after_the_model(deployer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHNITZEL_MLFLOW__URL", deployer.url)
    api = "/api/2.0/mlflow"
    model = {"name": "angler", "aliases": [{"alias": "champion", "version": "2"}]}
    deployer.answer("GET", f"{api}/registered-models/search", {"registered_models": [model]})
    deployer.answer("GET", f"{api}/registered-models/get", {"registered_model": model})
    rows = [{"name": "angler", "version": number} for number in ("1", "2")]
    deployer.answer("GET", f"{api}/model-versions/search", {"model_versions": rows})
    every = ["angler@2", "angler@1", "angler@champion", "angler@latest"]
    assert completion.versions("ang") == completion.versions("angler@") == every
    assert completion.versions("angler@c") == ["angler@champion"]


@pytest.mark.parametrize(
    ("words", "current", "inserted"),
    [
        ("schnitzel deploy status fr", 3, [r"fraud\ score"]),
        ("schnitzel deploy status angler @ pr", 5, ["@prod"]),
        ("schnitzel deploy status angler @", 4, ["@prod", "@staging"]),
        ("schnitzel deploy wait angler -e st", 5, ["staging"]),
        ("schnitzel dep", 1, ["deploy"]),
    ],
)
def test_bash_gets_what_it_can_insert(
    environments, deployment, words: str, current: int, inserted: list[str]
) -> None:
    both = [deployment(), deployment(environment="staging"), deployment(model="fraud score")]
    environments.answer("GET", "/api/v1/deployments", {"deployments": both, "registry": {}})
    shown = in_a_shell(COMP_WORDS=words.replace(" ", "\n"), COMP_CWORD=str(current))
    assert shown.stdout.splitlines() == inserted


def test_completion_imports_nothing_heavy(environments) -> None:
    shown = in_a_shell(COMP_WORDS="schnitzel\ndeploy\nstatus\na", COMP_CWORD="3")
    assert shown.stdout.split() == ["angler"]
    assert not set(shown.stderr.rpartition("MODULES ")[2].split()) & set(HEAVY)


def in_a_shell(**variables: str) -> "subprocess.CompletedProcess[str]":
    code = (
        "import sys, atexit\nfrom cli.main import main\n"
        "atexit.register(lambda: sys.stderr.write('MODULES ' + ' '.join(sys.modules)))\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_SCHNITZEL_COMPLETE": "complete_bash",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
