"""Completion: the names of things, from a cache that lasts for seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import bashwords, completion

ROOT = Path(__file__).parents[2]
HEAVY = ("mlflow", "airflow", "kubernetes", "rich", "httpx", "pydantic")


@pytest.fixture
def environments(deployer):
    found = [{"name": "prod"}, {"name": "staging"}]
    deployer.answer("GET", "/api/v1/environments", {"environments": found})
    return deployer


def test_a_model_is_completed_and_after_an_at_its_environment(deployer) -> None:
    assert completion.deployments("") == completion.deployments("an") == ["angler"]
    assert completion.deployments("angler@") == ["angler@prod"]
    assert completion.deployments("x") == []


def test_a_second_tab_asks_nobody(environments) -> None:
    assert completion.environments("") == ["prod", "staging"]
    assert completion.environments("st") == ["staging"]
    assert len(environments.requests("GET")) == 1


def test_what_is_old_is_asked_anew(environments, home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "KEPT_SECONDS", 0.0)
    completion.environments("")
    environments.answer("GET", "/api/v1/environments", {"environments": [{"name": "lab"}]})
    assert completion.environments("") == ["lab"]


def test_a_platform_that_is_down_completes_what_was_known_and_is_not_asked_again(
    environments, home, monkeypatch: pytest.MonkeyPatch
) -> None:
    completion.environments("")
    kept = home / "run" / "completion.json"
    kept.write_text(json.dumps({"environments": [["prod"], 0]}))
    environments.answer("GET", "/api/v1/environments", {"error": "no"}, 500)
    assert completion.environments("") == ["prod"]
    environments.asked.clear()
    assert completion.environments("") == ["prod"]
    assert not environments.asked


def test_no_platform_at_all_completes_nothing_and_writes_nothing(
    home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path / "absent"))
    monkeypatch.setenv("SCHNITZEL_DEPLOYER_URL", "http://127.0.0.1:1")
    assert completion.deployments("a") == []
    assert completion.projects("a") == []
    assert not (tmp_path / "absent").exists()


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


def test_a_model_in_several_environments_is_completed_with_them(deployer, deployment) -> None:
    both = [deployment(), deployment(environment="staging"), deployment(model="fraud score")]
    deployer.answer("GET", "/api/v1/deployments", {"deployments": both, "registry": {}})
    assert completion.deployments("") == ["angler", "fraud score"]
    assert completion.deployments("a") == ["angler@prod", "angler@staging"]


@pytest.mark.parametrize(
    ("words", "current", "joined", "place"),
    [
        (["schnitzel", "deploy", "logs", "angler", "@", "pr"], 5, "angler@pr", 3),
        (["schnitzel", "deploy", "logs", "angler", "@"], 4, "angler@", 3),
        (["schnitzel", "deploy", "logs", "angler", "@", "prod", ""], 6, "", 4),
        (["schnitzel", "model", "promote", r"a\ b", "@", "2", "--to", ""], 7, "", 5),
    ],
)
def test_words_that_bash_broke_are_whole_again(words, current, joined, place) -> None:
    environ = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(current)}
    bashwords.join(environ)
    assert environ["COMP_CWORD"] == str(place)
    assert environ["COMP_WORDS"].split("\n")[place] == joined


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
