"""The real MLflow and Airflow, started once for all tests here, as `up` starts them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.run.listeners import listeners
from support.run.ports import free_port
from support.run.wait import wait_for

from stack import platform
from stack.components import health
from stack.paths import Layout
from stack.settings import Service, Settings
from stack.supervision.processes import table, with_descendants

pytestmark = pytest.mark.timeout(1200)
PARTS = ("mlflow", "airflow", "gateway")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, Settings]]:
    layout = Layout(tmp_path_factory.mktemp("a home with 100% spaces") / "home")
    settings = Settings(
        mlflow=Service(free_port()),
        airflow=Service(free_port()),
        gateway_port=free_port(),
        gateway_api_port=free_port(),
    )
    variables = {"SCHNITZEL_HOME": str(layout.home), "SCHNITZEL_CACHE": str(layout.home / "cache")}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        platform.up(layout=layout, only=PARTS, settings=settings)
        yield layout, settings
    finally:
        platform.down(layout=layout)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    left = [each for each in table().values() if _mentions(each.pid, str(layout.home))]
    assert left == []


def _mentions(pid: int, text: str) -> bool:
    try:
        return text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _url(layout: Layout, name: str) -> str:
    return next(each.url for each in platform.status(layout) if each.name == name)


def _pids(layout: Layout) -> dict[str, int | None]:
    processes = platform.platform_supervisor(layout).processes()
    return {name: process.pid for name, process in processes.items()}


def _airflow(layout: Layout) -> httpx.Client:
    url = _url(layout, "airflow")
    password = json.loads(layout.airflow_passwords.read_text())["admin"]
    login = {"username": "admin", "password": password}
    token = httpx.post(f"{url}/auth/token", json=login, timeout=60).json()["access_token"]
    return httpx.Client(
        base_url=f"{url}/api/v2", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )


def test_every_component_is_healthy_and_says_its_version(home: tuple[Layout, Settings]) -> None:
    seen = {each.name: each for each in platform.status(home[0])}
    assert {seen[name].health for name in PARTS} == {"healthy"}
    assert seen["mlflow"].version == "3.17.2"
    assert seen["airflow"].version == "3.3.2"
    assert all(seen[name].pid and seen[name].uptime_seconds for name in PARTS)


def test_a_second_up_restarts_nothing(
    home: tuple[Layout, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_CACHE", str(home[0].home / "cache"))  # where it was started with
    before = _pids(home[0])
    again = platform.up(layout=home[0], only=PARTS, settings=home[1])
    assert again.started == []
    assert _pids(home[0]) == before
    assert again.logins[0].user == "admin"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_mlflow_serves_a_browser_under_both_names_of_this_machine(
    host: str, home: tuple[Layout, Settings]
) -> None:
    url = _url(home[0], "mlflow").replace("127.0.0.1", host)
    answer = httpx.post(
        f"{url}/ajax-api/2.0/mlflow/experiments/search",
        json={"max_results": 5},
        headers={"Origin": url},
    )
    assert answer.status_code == 200
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 403


def test_mlflow_can_do_all_that_the_deployer_wants(home: tuple[Layout, Settings]) -> None:
    can = health.mlflow_abilities(_url(home[0], "mlflow"))
    assert can == health.Abilities(webhooks=True, aliases=True, stages=True)


def test_mlflow_takes_a_signed_webhook_to_this_machine(home: tuple[Layout, Settings]) -> None:
    url = _url(home[0], "mlflow")
    body = {
        "name": "deployer",
        "url": "http://127.0.0.1:9/webhooks/mlflow",
        "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
        "secret": "word",
    }
    answer = httpx.post(f"{url}/api/2.0/mlflow/webhooks", json=body)
    assert answer.status_code == 200, answer.text


def test_airflow_lets_the_generated_password_in_and_no_other(home: tuple[Layout, Settings]) -> None:
    with _airflow(home[0]) as client:
        assert client.get("/dags").status_code == 200
        assert client.get("/importErrors").json()["import_errors"] == []
    wrong = {"username": "admin", "password": "admin"}
    url = _url(home[0], "airflow")
    assert httpx.post(f"{url}/auth/token", json=wrong, timeout=60).status_code == 401


def test_a_newly_registered_project_appears(home: tuple[Layout, Settings], tmp_path: Path) -> None:
    layout = home[0]
    (tmp_path / "project.yaml").write_text(
        "name: pike\nowner: bob\nmodel: pike\nsteps:\n  train: {command: python -V}\n"
    )
    (layout.projects / "pike.json").write_text(json.dumps({"name": "pike", "path": str(tmp_path)}))
    with _airflow(layout) as client:
        wait_for(
            lambda: "pike" in [dag["dag_id"] for dag in client.get("/dags").json()["dags"]],
            "the DAG of the project",
        )


def test_nothing_listens_beyond_loopback(home: tuple[Layout, Settings]) -> None:
    processes = table()
    root = int((home[0].run / "supervisord.pid").read_text())
    found = listeners(with_descendants({root}, processes))
    assert len(found) >= 4
    assert {address for address, _ in found} == {"0100007F"}


def test_no_secret_is_in_a_log_or_on_a_command_line(home: tuple[Layout, Settings]) -> None:
    layout = home[0]
    secrets = [json.loads(layout.airflow_passwords.read_text())["admin"]]
    secrets += [layout.token.read_text().strip().partition(":")[2]]
    for path in layout.secrets.iterdir():
        if path.suffix != ".json":
            secrets.append(path.read_text().strip())
    assert len(secrets) == 7
    for path in (*layout.logs.rglob("*.log"), layout.run / "supervisord.conf"):
        text = path.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), path
    assert not any(_mentions(pid, secret) for pid in table() for secret in secrets)


def test_an_mlflow_that_somebody_else_runs_is_attached(
    home: tuple[Layout, Settings], tmp_path: Path
) -> None:
    url = _url(home[0], "mlflow")
    mine = Layout(tmp_path / "mine")
    try:
        result = platform.up(
            layout=mine, only={"mlflow"}, settings=Settings(mlflow=Service(5000, url=url))
        )
        assert result.started == []
        assert result.notices == []
        mlflow = next(each for each in result.components if each.name == "mlflow")
        assert mlflow.attached
        assert (mlflow.health, mlflow.version, mlflow.pid) == ("healthy", "3.17.2", None)
    finally:
        platform.down(layout=mine)
    assert httpx.get(f"{url}/health").status_code == 200
