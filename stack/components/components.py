"""Build the components of the platform, with their programs and configuration files.

A component is a system that a user knows by name: MLflow, Airflow, the Deployer, the gateway,
RabbitMQ. It has one or several programs of our own, or none where it is attached.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stack.components import airflow as airflowconfig, rabbitmq, traefik
from stack.components.health import Address
from stack.credentials import Credentials, rabbitmq_cookie, rabbitmq_password
from stack.files import keep
from stack.paths import Layout
from stack.settings import Service, Settings, code_environment
from stack.supervision.processes import MARKER
from stack.supervision.program import Program

ATTACHED_SECONDS = 15.0  # others keep an attached component running: a long wait is no use
NAMES = ("mlflow", "gateway", "airflow", "deployer")
"""Each has its listeners and its check in stack/components/health.py."""
OPTIONAL = ("rabbitmq",)
"""Components that run only if platform.yaml names them; likewise with listeners and a check."""
# Components do not inherit these from the shell in which `up` is typed: each component gets its own
# settings, and variables of a shell must not change them.
FOREIGN = ("AIRFLOW_", "MLFLOW_", "SCHNITZEL_", "SUPERVISOR_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Component:
    """A component, and how to start it."""

    address: Address
    programs: tuple[Program, ...] = ()
    """Empty if the component is attached."""
    prepare: Callable[[], None] | None = None
    """Called before its programs start; quick after the first call."""
    needs: tuple[str, ...] = ()
    """Components that must be healthy before this component starts."""
    seconds: float = 300.0
    """Seconds after which a component that is not healthy has failed, on the slowest machine. A
    component whose program ends as soon as it starts has failed at once."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The HTTP headers of the login at an attached component."""


def base_environment() -> dict[str, str]:
    """Return the environment variables of the platform's supervisord, and so of each component."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    # Airflow starts its own program by name, and pipeline steps call uv.
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}


def build(
    layout: Layout,
    cache: Path,
    settings: Settings,
    ports: Mapping[str, int],
    credentials: Credentials,
) -> list[Component]:
    """Build the components, those first that others need, and write their files."""
    mlflow_url = settings.mlflow.url or f"http://127.0.0.1:{ports['mlflow']}"
    tracking = tracking_environment(mlflow_url, settings.mlflow)
    gateway = (
        _attached_gateway(settings.gateway_url, settings.gateway_api_url)
        if settings.gateway_url
        else _gateway(layout, ports["gateway"], ports["gateway_api"])
    )
    return [
        _attached("mlflow", settings.mlflow, settings.mlflow.url)
        if settings.mlflow.url
        else _mlflow(layout, ports["mlflow"], credentials),
        gateway,
        _attached("airflow", settings.airflow, settings.airflow.url)
        if settings.airflow.url
        else _airflow(layout, cache, ports["airflow"], credentials, tracking),
        *([_rabbitmq(layout, ports["rabbitmq"])] if "rabbitmq" in settings.components else []),
        _deployer(layout, cache, mlflow_url, gateway.address, ports["deployer"], tracking),
    ]


def tracking_environment(url: str, service: Service) -> dict[str, str]:
    """Return the variables by which an MLflow client reaches the platform's MLflow."""
    login = {"MLFLOW_TRACKING_URI": url}
    if service.username is not None:
        login["MLFLOW_TRACKING_USERNAME"] = service.username
        login["MLFLOW_TRACKING_PASSWORD"] = service.password() or ""
    return login


def _attached(name: str, service: Service, url: str) -> Component:
    address = Address(name, url, url, True, service.username, service.password_ref)
    return Component(address, seconds=ATTACHED_SECONDS, headers=service.authorization())


def _attached_gateway(url: str, api_url: str | None) -> Component:
    return Component(
        Address("gateway", url, api_url or url, attached=True), seconds=ATTACHED_SECONDS
    )


def _mlflow(layout: Layout, port: int, credentials: Credentials) -> Component:
    url = f"http://127.0.0.1:{port}"
    layout.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    # Paths are relative to MLflow's folder, so that the home's name needs no escape in a URI.
    # MLflow's defaults allow both localhost and 127.0.0.1, on any port, as hosts and as origins.
    command = (
        *(sys.executable, "-P", "-m", "mlflow", "server"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{layout.mlflow_database.name}"),
        *("--serve-artifacts", "--artifacts-destination", f"./{layout.mlflow_artifacts.name}"),
        "--uvicorn-opts=--no-access-log",  # the Deployer polls every second
    )
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 0.4 GB instead of 1.8
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": credentials.webhook_encryption_key,
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",  # to the Deployer, over loopback
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    }
    program = _program(layout, "mlflow", command, environment, layout.mlflow)
    return Component(Address("mlflow", url, url), (program,))


def _gateway(layout: Layout, port: int, api_port: int) -> Component:
    layout.gateway_dynamic.mkdir(parents=True, exist_ok=True)
    config = traefik.render(port, api_port, layout.gateway_dynamic)
    keep(layout.gateway_config, config)
    command = (str(traefik.binary()), f"--configfile={layout.gateway_config}")
    program = _program(layout, "gateway", command, _digest(config), layout.gateway)
    api_url = f"http://127.0.0.1:{api_port}"
    url = f"http://127.0.0.1:{port}"
    return Component(Address("gateway", url, api_url), (program,), seconds=120.0)


def _airflow(
    layout: Layout,
    cache: Path,
    port: int,
    credentials: Credentials,
    tracking: Mapping[str, str],
) -> Component:
    url = f"http://127.0.0.1:{port}"
    config = airflowconfig.render(layout, port, credentials)
    keep(layout.airflow / "airflow.cfg", config)
    keep(layout.airflow_dags / "schnitzel_projects.py", airflowconfig.dag_file())
    environment = {
        "AIRFLOW_HOME": str(layout.airflow),
        "SCHNITZEL_HOME": str(layout.home),
        "SCHNITZEL_CACHE": str(cache),
        **tracking,
    }
    parts = {
        "api-server": ("api-server",),
        # Task logs are read from disk, so they need no server.
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
    }
    programs = tuple(
        _program(
            layout,
            f"airflow-{part}",
            (sys.executable, "-P", "-m", "airflow", *arguments),
            environment | _digest(config),
            layout.airflow,
        )
        for part, arguments in parts.items()
    )
    return Component(
        Address("airflow", url, url),
        programs,
        prepare=lambda: airflowconfig.prepare(layout, base_environment() | environment),
        seconds=600.0,
    )


def _rabbitmq(layout: Layout, port: int) -> Component:
    server = rabbitmq.server()
    layout.rabbitmq.mkdir(exist_ok=True, mode=0o700)
    password = rabbitmq_password(layout)
    keep(layout.rabbitmq_url, rabbitmq.login_url(port, password) + "\n")
    rabbitmq_cookie(layout)
    config, definitions = rabbitmq.render(port), rabbitmq.definitions(password)
    keep(layout.rabbitmq / rabbitmq.CONFIG, config)
    keep(layout.rabbitmq / rabbitmq.DEFINITIONS, definitions)
    environment = rabbitmq.environment(layout.rabbitmq, port) | _digest(config + definitions)
    program = replace(
        _program(layout, "rabbitmq", (str(server),), environment, layout.rabbitmq),
        stop_seconds=30,  # it writes its queues to disk; 1 s was seen with empty ones
        without=rabbitmq.FOREIGN,
    )
    url = f"amqp://127.0.0.1:{port}"
    return Component(Address("rabbitmq", url, url), (program,), seconds=180.0)


def _deployer(
    layout: Layout,
    cache: Path,
    mlflow_url: str,
    gateway: Address,
    port: int,
    tracking: Mapping[str, str],
) -> Component:
    layout.deployer.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if _is_setting(name)},
        **code_environment(),
        **tracking,
        "SCHNITZEL_HOME": str(layout.home),
        "SCHNITZEL_CACHE": str(cache),
        "SCHNITZEL_MLFLOW__URL": mlflow_url,
        "SCHNITZEL_GATEWAY__URL": gateway.url,
        "SCHNITZEL_GATEWAY__API_URL": gateway.probe_url,
        "SCHNITZEL_DEPLOYER__PORT": str(port),
    }
    command = (sys.executable, "-P", "-m", "deployer", "run")
    program = _program(layout, "deployer", command, environment, layout.deployer)
    return Component(
        Address("deployer", url, url),
        (program,),
        needs=("mlflow", "gateway"),
        seconds=180.0,
    )


def _is_setting(name: str) -> bool:
    return name.startswith("SCHNITZEL_") and name != MARKER


def _program(
    layout: Layout,
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    directory: Path,
) -> Program:
    return Program(
        name=name,
        command=command,
        environment=dict(environment),
        directory=directory,
        log=layout.logs / f"{name}.log",
    )


def _digest(config: str) -> dict[str, str]:
    """Return a variable that changes a program's definition when its configuration file changes."""
    return {"STACK_CONFIG_DIGEST": hashlib.sha256(config.encode()).hexdigest()}
