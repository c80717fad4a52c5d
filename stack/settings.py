"""Read the settings that the stack needs from the Deployer.

Only the Deployer reads and checks platform.yaml and SCHNITZEL_* variables; the stack runs
`python -m deployer settings --json` and imports nothing from the Deployer.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from stack.errors import SettingsError
from stack.paths import Layout

CODE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Service:
    """An MLflow or Airflow: our own, or an attached one that others run."""

    port: int
    """The wanted port of our own server."""
    url: str | None = None
    """The URL of an attached server; None: we run our own."""
    username: str | None = None
    password_ref: str | None = field(default=None, repr=False)
    """The place of the password: "env:NAME" or "file:/path"."""

    def password(self) -> str | None:
        """Read the password that the reference names; None without a reference.

        Raises:
            SettingsError: the variable is not set, or the file cannot be read.
        """
        if self.password_ref is None:
            return None
        kind, _, where = self.password_ref.partition(":")
        try:
            if kind == "env":
                found = os.environ[where]
            else:  # as the Deployer reads it: one line break at the end does not count
                found = Path(where).read_text().removesuffix("\n").removesuffix("\r")
        except (KeyError, OSError, ValueError) as error:
            found, why = "", str(error)
        else:
            why = "it is empty"
        if not found:
            raise SettingsError(
                f"The password reference {self.password_ref} leads nowhere: {why}.",
                "Set the variable or write the file that the reference names.",
            )
        return found

    def authorization(self) -> dict[str, str]:
        """Build the HTTP headers of the login; none without a user name."""
        if self.username is None:
            return {}
        pair = f"{self.username}:{self.password() or ''}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


@dataclass(frozen=True)
class Settings:
    """The part of the platform's settings that the stack needs."""

    mlflow: Service = Service(port=5000)
    airflow: Service = Service(port=8080)
    deployer_port: int = 8090
    gateway_port: int = 8000
    gateway_api_port: int = 8001
    gateway_url: str | None = None
    """The URL of an attached Traefik; None: we run our own."""
    gateway_api_url: str | None = None
    platform_id: str | None = None
    components: tuple[str, ...] = ()
    """The optional components that were asked for."""
    rabbitmq_port: int = 5672

    def attached(self) -> set[str]:
        """Return the components that others run."""
        urls = {"mlflow": self.mlflow.url, "airflow": self.airflow.url, "gateway": self.gateway_url}
        return {name for name, url in urls.items() if url is not None}

    def wanted_ports(self) -> dict[str, int]:
        """Return the wanted port of each listener of our own, by its name in ports.json."""
        optional = {"rabbitmq": self.rabbitmq_port}
        return {
            "mlflow": self.mlflow.port,
            "airflow": self.airflow.port,
            "deployer": self.deployer_port,
            "gateway": self.gateway_port,
            "gateway_api": self.gateway_api_port,
            **{name: port for name, port in optional.items() if name in self.components},
        }


def code_environment() -> dict[str, str]:
    """Return the variables by which Python finds our packages; none once they are installed."""
    try:
        metadata.distribution("schnitzel")
    except metadata.PackageNotFoundError:
        return {"PYTHONPATH": str(CODE)}
    return {}


def read(layout: Layout, cache: Path) -> Settings:
    """Ask the Deployer for the resolved settings of a home.

    Raises:
        SettingsError: the Deployer refused the settings, or did not run; with its message.
    """
    environment = {
        **os.environ,
        **code_environment(),
        "SCHNITZEL_HOME": str(layout.home),
        "SCHNITZEL_CACHE": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "settings", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    if done.returncode == 0:
        return _parse(json.loads(done.stdout))
    message, _, hint = done.stderr.strip().partition("\n\nhint: ")
    if done.returncode == 2 and hint:
        raise SettingsError(message.removeprefix("error: "), hint)
    output = "\n".join(done.stderr.strip().splitlines()[-5:])
    raise SettingsError(f"The settings could not be read: {output}", "Run: schnitzel doctor")


def _parse(answer: Mapping[str, Any]) -> Settings:
    return Settings(
        mlflow=_service(answer["mlflow"]),
        airflow=_service(answer["airflow"]),
        deployer_port=answer["deployer"]["port"],
        gateway_port=answer["gateway"]["port"],
        gateway_api_port=answer["gateway"]["api_port"],
        gateway_url=answer["gateway"]["url"],
        gateway_api_url=answer["gateway"].get("api_url"),
        platform_id=answer["platform_id"],
        components=tuple(answer["components"]),
        rabbitmq_port=answer["rabbitmq"]["port"],
    )


def _service(answer: Mapping[str, Any]) -> Service:
    return Service(
        port=answer["port"],
        url=answer["url"],
        username=answer["username"],
        password_ref=answer["password_ref"],
    )
