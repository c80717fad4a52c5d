"""scripts/compose.sh: the secrets that it makes, and what it refuses, without a container."""

from __future__ import annotations

import configparser
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stack.components import rabbitmq

ROOT = Path(__file__).parents[3]
TOOLS = (
    *("base64", "bash", "cat", "chmod", "cut", "dirname", "du", "env", "grep", "head", "id"),
    *("mkdir", "mktemp", "mv", "od", "rm", "sed", "sha256sum", "sort", "tail", "tar", "tr"),
)
CONTAINERS = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"])


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/compose.sh", tmp_path / "scripts")
    run(tmp_path, "secrets")
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run it where there is no Docker: with all that it needs on PATH, and nothing else."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found, name
            (tools / name).symlink_to(found)
    done = subprocess.run(
        [folder / "scripts/compose.sh", *arguments],
        env={"PATH": str(tools)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def content(folder: Path) -> dict[str, str]:
    files = (path for path in (folder / "compose").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_every_secret_of_a_container_is_made_and_only_the_owner_reaches_it(team: Path) -> None:
    secrets = team / "compose/secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert (team / "compose/client").stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in secrets.iterdir()}
    assert modes.keys() >= CONTAINERS
    # Another user reads them in the container; what no container needs is for the owner alone.
    assert modes == {name: 0o644 if name in CONTAINERS else 0o600 for name in modes}
    for path in (team / "compose/client").iterdir():
        assert not path.stat().st_mode & 0o077, path


def test_another_run_changes_nothing_and_makes_what_is_missing(team: Path) -> None:
    before = content(team)
    run(team, "secrets")
    assert content(team) == before
    gone = team / "compose/secrets/webhook-secret"
    gone.unlink()
    run(team, "secrets")
    after = content(team)
    assert after.pop("compose/secrets/webhook-secret") != before.pop(
        "compose/secrets/webhook-secret"
    )
    assert after == before


def test_two_platforms_share_no_secret(
    team: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(team / "scripts", other / "scripts")
    run(other, "secrets")
    ours, theirs = content(team), content(other)
    same = {name for name in ours if ours[name] == theirs[name]}
    assert same == {"compose/client/ports.json"}


def test_a_token_is_kept_as_its_hash_and_names_its_owner(team: Path) -> None:
    tokens = team / "compose/secrets/tokens.json"
    inode = tokens.stat().st_ino
    subject, _, token = run(team, "token", "alice").strip().partition(":")
    assert subject == "alice"
    known = json.loads(tokens.read_text())
    assert known[hashlib.sha256(token.encode()).hexdigest()] == "alice"
    mine, _, own = (team / "compose/client/token").read_text().strip().partition(":")
    assert known[hashlib.sha256(own.encode()).hexdigest()] == mine
    assert len(known) == 2
    assert token not in tokens.read_text()
    assert tokens.stat().st_ino == inode, "a container was given this very file"
    assert "cannot be a subject" in run(team, "token", 'x": "y', code=1)


def test_a_withdrawn_token_is_gone_and_no_other(team: Path) -> None:
    tokens = team / "compose/secrets/tokens.json"
    before = json.loads(tokens.read_text())
    for name in ("alice", "al", "alice"):
        run(team, "token", name)
    run(team, "withdraw", "alice")
    after = json.loads(tokens.read_text())
    assert sorted(after.values()) == sorted([*before.values(), "al"])
    run(team, "withdraw", "al")
    assert json.loads(tokens.read_text()) == before
    run(team, "withdraw", *set(before.values()))
    assert json.loads(tokens.read_text()) == {}
    assert "there is no token of alice" in run(team, "withdraw", "alice", code=1)


def test_airflow_reads_its_secrets_and_each_database_has_its_own_password(team: Path) -> None:
    secrets = team / "compose/secrets"
    airflow = configparser.ConfigParser()
    airflow.read(secrets / "airflow.cfg")
    assert len(airflow["core"]["fernet_key"]) == 44
    urls = [
        airflow["database"]["sql_alchemy_conn"],
        (secrets / "mlflow-database").read_text(),
        (secrets / "deployer-database").read_text(),
    ]
    found = [re.fullmatch(r"[a-z+]+://(\w+):([0-9a-f]+)@postgres/(\w+)", url) for url in urls]
    sql = (secrets / "databases.sql").read_text()
    for match in found:
        assert match
        assert match[1] == match[3]
        assert f"CREATE ROLE {match[1]} LOGIN PASSWORD '{match[2]}';" in sql
        assert f"REVOKE CONNECT ON DATABASE {match[1]} FROM PUBLIC;" in sql
    assert len({match[2] for match in found if match}) == 3


def test_rabbitmq_has_one_user_whose_password_is_in_its_urls(team: Path) -> None:
    secrets = team / "compose/secrets"
    password = (secrets / "rabbitmq-password").read_text()
    made = json.loads((secrets / "rabbitmq-definitions.json").read_text())
    assert made == json.loads(rabbitmq.definitions(password))
    inside, outside = secrets / "rabbitmq-url", team / "compose/client/rabbitmq-url"
    assert inside.read_text() == f"amqp://schnitzel:{password}@rabbitmq:5672/\n"
    assert outside.read_text() == f"amqp://schnitzel:{password}@127.0.0.1:5772/\n"
    (secrets / "rabbitmq-password").unlink()
    run(team, "secrets")
    assert password not in "".join(content(team).values())


def test_the_command_line_finds_ports_that_env_changes(team: Path) -> None:
    (team / ".env").write_text("DEPLOYER_PORT=9001\nMLFLOW_PORT=9002\n")
    run(team, "secrets")
    client = team / "compose/client"
    assert json.loads((client / "ports.json").read_text()) == {"deployer": 9001}
    settings = yaml.safe_load((client / "platform.yaml").read_text())
    assert settings["mlflow"]["url"] == "http://127.0.0.1:9002"
    told = (client / "env").read_text().splitlines()
    assert f"export SCHNITZEL_HOME={client}" in told
    assert "export SCHNITZEL_DEPLOYER_URL=http://127.0.0.1:9001" in told
    assert "export SCHNITZEL_MLFLOW__URL=http://127.0.0.1:9002" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backup", "team.tar"), "docker is not on PATH"),
        (("restore", "none.tar"), "none.tar"),
        (("restore", "scripts/compose.sh"), "is no whole backup"),
        (("restore", "whole.tar"), "docker is not on PATH"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_next_step(
    team: Path, arguments: tuple[str, ...], said: str
) -> None:
    parts = ("settings.tar", "volumes.tar", "mlflow.dump", "airflow.dump", "deployer.dump")
    for name in parts:
        (team / name).touch()
    subprocess.run(["tar", "-cf", "whole.tar", *parts], cwd=team, check=True)
    told = run(team, *arguments, code=1)
    assert said in told
    assert "\n\nhint: " in told


def test_no_backup_is_overwritten(team: Path) -> None:
    (team / "team.tar").write_text("precious")
    assert "is there already" in run(team, "backup", "team.tar", code=1)
    assert (team / "team.tar").read_text() == "precious"


def test_without_a_command_it_says_how_it_is_used(team: Path) -> None:
    told = run(team, code=2)
    for command in ("secrets", "token NAME", "withdraw NAME", "backup FILE", "restore FILE"):
        assert f"scripts/compose.sh {command}" in told
