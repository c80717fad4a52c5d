"""docker-compose.yml brought up: a model trained and served through it; lost, and brought back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiormq
import httpx
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic
from support import ROOT
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.docker import DockerEngine, docker_engine

pytestmark = pytest.mark.timeout(3600)

PORTS = ("MLFLOW_PORT", "AIRFLOW_PORT", "DEPLOYER_PORT", "GATEWAY_PORT", "PROMETHEUS_PORT",
         "RABBITMQ_PORT")  # fmt: skip
FILES = ("docker-compose.yml", "compose/platform.yaml", "compose/prometheus.yml",
         "compose/rabbitmq.conf", "compose/traefik.yaml", "scripts/compose.sh")  # fmt: skip


class Team:
    """The platform in a folder of its own, as a team has it."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.ports = {name: free_port() for name in PORTS}
        settings = {
            "COMPOSE_PROJECT_NAME": "schnitzel-test",
            "COMPOSE_PROFILES": "rabbitmq",
            "GATEWAY_URL": f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}",
            **self.ports,
        }
        (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        if bundle := os.environ.get("SSL_CERT_FILE"):  # a private authority of the package index
            trusting = {
                "environment": {"SSL_CERT_FILE": "/etc/ssl/trusted.crt"},
                "volumes": [f"{Path(bundle).resolve()}:/etc/ssl/trusted.crt:ro"],
            }
            override = {"services": dict.fromkeys(("deployer", "airflow-scheduler"), trusting)}
            (folder / "docker-compose.override.yml").write_text(json.dumps(override))
        self.env = {
            "COMPOSE": str(engine.compose),
            "SCHNITZEL_HOME": str(folder / "compose/client"),
        }

    def compose(self, *arguments: str) -> str:
        return self.engine.run(self.engine.compose, *arguments, cwd=self.folder)

    def script(self, *arguments: str | Path) -> str:
        return self.engine.run(self.folder / "scripts/compose.sh", *arguments, env=self.env)

    def cli(self, *arguments: str) -> str:
        return self.engine.run("schnitzel", *arguments, env=self.env, cwd=self.folder)

    def up(self) -> None:
        try:
            self.compose("up", "--detach", "--wait", "--no-build")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--tail', '30')}") from None

    def on_a_channel(self, work: Callable[[AbstractChannel], Awaitable[bytes]]) -> bytes:
        """Do something as a client of RabbitMQ on this machine."""

        async def connected() -> bytes:
            url = (self.folder / "compose/client/rabbitmq-url").read_text().strip()
            async with await aiormq.connect(url) as connection:
                return await work(await connection.channel())

        return asyncio.run(connected())

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def prometheus(self, path: str, **parameters: str) -> Any:
        url = f"{self.url('PROMETHEUS_PORT')}/api/v1/{path}"
        answer = httpx.get(url, params=parameters, trust_env=False).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def deployment(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url('DEPLOYER_PORT')}/api/v1/deployments", trust_env=False)
        found = [d for d in answer.json()["deployments"] if d["environment"] == "prod"]
        return found[0] if found else {}

    def history(self) -> list[Any]:
        """What was done in prod, oldest first."""
        url = f"{self.url('DEPLOYER_PORT')}/api/v1/deployments/{self.deployment()['id']}/history"
        found: list[Any] = httpx.get(url, trust_env=False).raise_for_status().json()["events"]
        return found

    def wait_serving(self, version: int) -> dict[str, Any]:
        def serves() -> dict[str, Any] | None:
            seen = self.deployment()
            good = seen and seen["state"] == "Serving"
            return seen if good and seen["serving"] == {"version": str(version)} else None

        return wait_for(serves, f"version {version} in prod", 900, every=1)

    def serve(self) -> None:
        """Have the first version trained and served, unless it is."""
        if not self.deployment():
            self.cli("train", "iris-forest")
            self.cli("model", "promote", "iris-forest@1", "--to", "prod", "--yes", "--wait")
        self.wait_serving(1)

    def predict(self) -> Any:
        return json.loads(
            self.cli("predict", "iris-forest", "-e", "prod", "--example", "-o", "json")
        )


async def send(channel: AbstractChannel) -> bytes:
    await channel.queue_declare("texts", durable=True)
    kept = Basic.Properties(delivery_mode=2)
    await channel.basic_publish(b"kept", routing_key="texts", properties=kept, mandatory=True)
    return b"kept"


async def take(channel: AbstractChannel) -> bytes:
    return (await channel.basic_get("texts", no_ack=True)).body


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    engine = docker_engine()
    try:
        engine.start().build()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def team(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    team = Team(engine, tmp_path_factory.mktemp("team"))
    team.script("secrets")
    shutil.copytree(ROOT / "examples/iris-forest", team.folder / "compose/projects/iris-forest")
    subprocess.run(["chmod", "-R", "a+rX", team.folder / "compose/projects"], check=True)
    try:
        team.compose("config", "--quiet")
        team.up()
        yield team
    finally:
        team.compose("--profile", "*", "down", "--volumes", "--timeout", "5")


def test_a_team_trains_promotes_and_asks_and_gets_all_of_it_back_from_a_backup(
    team: Team, tmp_path: Path
) -> None:
    team.serve()
    before = team.wait_serving(1)
    events = team.history()
    answer = team.predict()
    team.on_a_channel(send)

    archive = tmp_path / "team.backup"
    team.script("backup", archive)
    assert archive.stat().st_mode & 0o077 == 0
    assert team.predict() == answer, "served models go on while the rest is stopped for a backup"
    team.up()

    team.compose("--profile", "*", "down", "--volumes")
    shutil.rmtree(team.folder / "compose")
    (team.folder / ".env").unlink()
    (team.folder / "compose").mkdir()
    for name in ("rabbitmq.conf", "traefik.yaml"):
        shutil.copy(ROOT / "compose" / name, team.folder / "compose" / name)
    shutil.copytree(ROOT / "examples/iris-forest", team.folder / "compose/projects/iris-forest")
    subprocess.run(["chmod", "-R", "a+rX", team.folder / "compose/projects"], check=True)

    team.script("restore", archive)
    after = team.wait_serving(1)
    assert team.predict() == answer
    assert team.on_a_channel(take) == b"kept"
    assert after["id"] == before["id"]
    assert events
    assert team.history()[: len(events)] == events
    runs = json.loads(team.cli("run", "list", "-o", "json"))
    assert len(runs["runs"]) == 1
    with pytest.raises(AssertionError, match="nothing is overwritten"):
        team.script("restore", archive)


def test_a_change_needs_a_token_and_a_new_one_names_its_subject(team: Team) -> None:
    team.serve()
    url = f"{team.url('DEPLOYER_PORT')}/api/v1/deployments/{team.deployment()['id']}"
    refused = httpx.post(f"{url}/pause", json={}, trust_env=False)
    assert refused.status_code == 401, refused.text
    named, _, token = team.script("token", "alice").strip().partition(":")
    login = {"Authorization": f"Bearer {token}"}
    paused = httpx.post(f"{url}/pause", json={}, headers=login, trust_env=False)
    assert paused.status_code == 200, paused.text
    assert paused.json()["paused"]["by"] == named == "alice"
    httpx.post(f"{url}/resume", headers=login, trust_env=False).raise_for_status()


def test_models_serve_while_all_else_is_away_and_again_after_a_restart(team: Team) -> None:
    team.serve()
    url = f"{team.url('GATEWAY_PORT')}/prod/iris-forest/v2/health/ready"

    def serves() -> bool:
        return httpx.get(url, trust_env=False).status_code == 200

    team.compose("stop", "deployer", "mlflow", "postgres")
    try:
        assert serves()
        team.compose("restart", "models")
        wait_for(serves, "the model after a restart of its container", 120, every=1)
    finally:
        team.up()


def test_what_runs_models_reaches_no_registry_and_no_database(team: Team) -> None:
    reach = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    for host, port in (("mlflow", "5000"), ("postgres", "5432"), ("s3", "8333")):
        with pytest.raises(AssertionError, match=r"gaierror|TimeoutError|OSError"):
            team.compose(
                "exec", "-T", "models", "/opt/schnitzel/bin/python", "-c", reach, host, port
            )
    assert not team.compose(
        "exec", "-T", "models", "sh", "-c", "ls /run/secrets 2>/dev/null || true"
    )


def test_artifacts_come_through_mlflow_and_never_from_s3_itself(team: Team) -> None:
    url = f"{team.url('MLFLOW_PORT')}/api/3.0/mlflow/server-info"
    told = httpx.get(url, trust_env=False).json()
    assert not told["multipart_uploads_enabled"]
    assert not told["multipart_downloads_enabled"]


def test_prometheus_reads_every_server_and_counts_a_model_s_requests(team: Team) -> None:
    team.serve()

    def scraped() -> bool:
        told = team.prometheus("targets", state="active")["activeTargets"]
        return {t["labels"]["job"] for t in told if t["health"] == "up"} == {
            "deployer", "gateway", "models", "prometheus",
        }  # fmt: skip

    def requests() -> float:
        where = 'job="models",model="iris-forest",version="1",environment="prod",code="200"'
        query = f'sum(schnitzel_requests_total{{{where},route=~"infer|invocations"}})'
        found = team.prometheus("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def grows() -> bool:
        team.predict()
        return requests() > before

    wait_for(scraped, "every target to be read", 120, every=1)
    before = requests()
    wait_for(grows, "the model's requests to be counted", 120, every=5)
    asks = (
        "import yaml; from deployer.analysis.prometheus import Prometheus; "
        "told = yaml.safe_load(open('/etc/schnitzel/platform.yaml')); "
        "print(Prometheus(told['prometheus']['url']).ask('count(up)', __import__('time').time()))"
    )
    said = team.compose("exec", "-T", "deployer", "/opt/schnitzel/bin/python", "-c", asks)
    assert float(said) >= 4


def test_a_secret_that_is_gone_is_named_and_none_is_made_anew_for_data_that_is_there(
    team: Team, tmp_path: Path
) -> None:
    def without(name: str, *arguments: str | Path) -> str:
        file = team.folder / "compose/secrets" / name
        kept = file.read_bytes()
        file.unlink()
        try:
            with pytest.raises(
                AssertionError, match=f"error: compose/secrets/{name} is missing"
            ) as e:
                team.script(*arguments)
        finally:
            file.write_bytes(kept)
            file.chmod(0o644)
        return str(e.value)

    assert "scripts/compose.sh secrets" in without("webhook-secret", "backup", tmp_path / "a.tar")
    assert "settings.tar" in without("mlflow-password", "secrets")
    assert not list(tmp_path.iterdir())
