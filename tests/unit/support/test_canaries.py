"""Secrets of a test's platform: found wherever they do not belong, and nowhere else."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from support.canaries import INDEX, MLFLOW, WEBHOOKS, Canaries

from stack.supervision.processes import MARKER


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    made = Canaries(tmp_path / "home")
    made.home.mkdir()
    made.plant()
    return made


@pytest.fixture
def process(tmp_path: Path):
    """Make a process in a folder like /proc."""

    def make(pid: int, *command: str, **environment: str) -> Path:
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "cmdline").write_text("\0".join(command))
        (folder / "environ").write_text("\0".join(f"{n}={v}" for n, v in environment.items()))
        return folder.parent

    return make


def test_a_home_as_it_is_made_holds_secrets_only_where_they_belong(canaries: Canaries) -> None:
    canaries.look_at_files()
    canaries.check()


@pytest.mark.parametrize("text", ["{0}", "x{0}y", "tests:{0}", "ab:{0}", "abc:{0}"])
@pytest.mark.parametrize("form", [str, quote, lambda t: base64.b64encode(t.encode()).decode()])
def test_a_secret_is_found_in_each_form(canaries: Canaries, text: str, form) -> None:
    log = canaries.home / "logs" / "deployer.log"
    log.parent.mkdir()
    log.write_text(f"refused: {form(text.format(canaries.value(MLFLOW)))}\n")
    canaries.look_at_files()
    with pytest.raises(AssertionError, match=r"in logs/deployer\.log"):
        canaries.check()


def test_a_secret_is_found_in_a_database(canaries: Canaries) -> None:
    with closing(sqlite3.connect(canaries.home / "deployer.db")) as database:
        database.execute("CREATE TABLE records (body TEXT)")
        database.execute("INSERT INTO records VALUES (?)", [f"because {canaries.index}"])
        database.commit()
    canaries.look_at_files()
    assert canaries.found == {"IndexPassword in deployer.db"}


def test_a_secret_is_found_in_the_log_of_a_build(canaries: Canaries, tmp_path: Path) -> None:
    log = tmp_path / "cache/environments/abc.log"
    log.parent.mkdir(parents=True)
    log.write_text(canaries.index)
    canaries.look_at_files(tmp_path / "cache")
    assert canaries.found == {"IndexPassword in the cache's abc.log"}


def test_a_file_that_must_hold_one_holds_that_one_and_is_its_owners(canaries: Canaries) -> None:
    definition = canaries.home / "run/programs/mlflow.json"
    definition.parent.mkdir(parents=True)
    definition.touch(mode=0o600)
    definition.write_text(canaries.value(WEBHOOKS))
    canaries.look_at_files()
    assert canaries.found == set()
    definition.write_text(canaries.value("Token"))
    canaries.look_at_files()
    assert canaries.found == {"Token in run/programs/mlflow.json"}
    (canaries.home / "token").chmod(0o644)
    canaries.look_at_files()
    assert "token is not its owner's alone" in canaries.found


def test_a_secret_is_found_on_a_command_line_and_is_not_told(canaries: Canaries, process) -> None:
    canaries.look_at_commands(process(7, "uv", "--index", canaries.index))
    [found] = canaries.found
    assert found.startswith("IndexPassword in a command line: uv --index http://tests:***")


def test_a_process_that_becomes_another_program_is_looked_at_again(
    canaries: Canaries, process
) -> None:
    proc = process(7, "sh")
    canaries.look_at_commands(proc)
    (proc / "7/cmdline").write_text(canaries.index)
    canaries.look_at_commands(proc)
    assert canaries.found


def test_each_component_has_its_own_secrets_in_its_environment(canaries: Canaries, process) -> None:
    login, index = canaries.value(MLFLOW), canaries.value(INDEX)
    process(7, "deployer", A=login, B=index, **{MARKER: "abc:deployer"})
    proc = process(8, "mlflow", A=index, **{MARKER: "abc:mlflow"})
    canaries.look_at_processes(proc)
    assert canaries.found == set()
    process(9, "mlflow", A=login, **{MARKER: "abc:mlflow"})
    process(10, "serving", A=index, **{MARKER: "abc:iris-prod-v1"})
    canaries.look_at_processes(proc)
    assert canaries.found == {
        "MlflowPassword in the environment of: mlflow",
        "IndexPassword in the environment of: serving",
    }
