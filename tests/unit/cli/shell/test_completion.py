"""Completion: the names of things, from a cache that lasts for seconds."""

import json
from pathlib import Path

import pytest

from cli.shell import bash_words, completion


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
    bash_words.join(environ)
    assert environ["COMP_CWORD"] == str(place)
    assert environ["COMP_WORDS"].split("\n")[place] == joined
