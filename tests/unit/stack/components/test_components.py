import ast
import configparser
from pathlib import Path

import pytest
import yaml

from stack import credentials
from stack.components import airflow as airflowconfig, components, health, traefik
from stack.paths import Layout
from stack.settings import Service, Settings

PORTS = {"mlflow": 5001, "airflow": 8081, "deployer": 8091, "gateway": 8002, "gateway_api": 8003}


def build(
    tmp_path: Path, settings: Settings | None = None, ports: dict[str, int] = PORTS
) -> dict[str, components.Component]:
    layout = Layout(tmp_path / "100% home")
    layout.home.mkdir(exist_ok=True)
    made = credentials.ensure(layout)
    built = components.build(layout, tmp_path / "cache", settings or Settings(), ports, made)
    return {component.address.name: component for component in built}


def test_everything_is_told_to_listen_on_loopback_only(tmp_path: Path) -> None:
    mlflow = build(tmp_path)["mlflow"].programs[0].command
    assert mlflow[mlflow.index("--host") + 1] == "127.0.0.1"
    config = yaml.safe_load(traefik.render(8002, 8003, tmp_path))
    addresses = [each["address"] for each in config["entryPoints"].values()]
    assert addresses == ["127.0.0.1:8002", "127.0.0.1:8003"]


def test_the_gateway_forgets_idle_connections_before_servers_close_them(tmp_path: Path) -> None:
    config = yaml.safe_load(traefik.render(8002, 8003, tmp_path))
    assert config["serversTransport"]["forwardingTimeouts"]["idleConnTimeout"] == "2s"
    assert config["providers"]["providersThrottleDuration"] == "100ms"


def test_airflow_reads_values_with_percent_signs_as_they_are(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "100% home")
    text = airflowconfig.render(layout, 8081, credentials.ensure(layout))
    parser = configparser.ConfigParser()  # it interpolates, as Airflow's does
    parser.read_string(text)
    assert parser["core"]["dags_folder"] == str(layout.airflow_dags)
    assert parser["api"]["host"] == "127.0.0.1"
    assert parser["core"]["parallelism"] == "2"


def test_the_dag_file_is_found_by_airflow_and_registers_projects() -> None:
    text = airflowconfig.dag_file()
    assert "airflow" in text.lower()  # Airflow skips files without the words "dag" and "airflow"
    assert "dag" in text.lower()
    assert ast.parse(text)
    assert text.endswith("from dags.projects import register\n\nregister(globals())\n")


def test_no_secret_is_on_a_command_line_or_in_the_environment_of_pipelines(tmp_path: Path) -> None:
    built = build(tmp_path)
    made = credentials.ensure(Layout(tmp_path / "100% home"))
    secrets = [value for name, value in vars(made).items() if name != "subject"]
    for component in built.values():
        for program in component.programs:
            assert not any(secret in part for part in program.command for secret in secrets)
    for program in built["airflow"].programs:
        assert not any(secret in str(program.environment) for secret in secrets)


def test_a_changed_configuration_file_changes_the_program(tmp_path: Path) -> None:
    before = build(tmp_path)["gateway"].programs[0]
    assert build(tmp_path)["gateway"].programs[0] == before
    assert build(tmp_path, ports=PORTS | {"gateway": 8009})["gateway"].programs[0] != before


def test_what_a_shell_happens_to_hold_changes_no_component(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(tmp_path)
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "99")
    assert build(tmp_path)["airflow"].programs == before["airflow"].programs
    assert "AIRFLOW__CORE__PARALLELISM" not in components.base_environment()


def test_an_attached_mlflow_is_not_started_and_everyone_is_sent_to_it(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("not a word of any path\n")
    team = Service(5000, "http://team:5000", "bob", f"file:{tmp_path}/word")
    built = build(tmp_path, Settings(mlflow=team))
    assert built["mlflow"].programs == ()
    assert built["mlflow"].address.attached
    deployer = built["deployer"].programs[0].environment
    assert deployer["SCHNITZEL_MLFLOW__URL"] == "http://team:5000"
    assert deployer["MLFLOW_TRACKING_PASSWORD"] == "not a word of any path"
    airflow = built["airflow"].programs[0].environment
    assert airflow["MLFLOW_TRACKING_URI"] == "http://team:5000"
    assert "not a word of any path" not in repr(built["mlflow"].address)


def test_every_component_has_a_listener_and_every_listener_a_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tuple(sorted(build(tmp_path))) == tuple(sorted(components.NAMES))
    every = {*components.NAMES, *components.OPTIONAL}
    assert every <= health.LISTENERS.keys()
    assert Settings(components=components.OPTIONAL).wanted_ports().keys() == health.LISTENERS.keys()
    monkeypatch.setattr("stack.components.rabbitmq.server", lambda: Path("/rabbitmq-server"))
    ports = PORTS | {"rabbitmq": 5673}
    assert build(tmp_path, Settings(components=components.OPTIONAL), ports).keys() == every
