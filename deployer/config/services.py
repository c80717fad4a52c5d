"""Declare the sections of platform.yaml for its servers, ours or attached."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from deployer.artifacts import requirement_lines
from deployer.schema.base import Frozen
from deployer.spec.queue import QueueAccess


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address such as 'http://mlflow.example:5000'")
    if parts.username or parts.password:
        raise ValueError("should carry no user or password; use the fields username, password_ref")
    return value.rstrip("/")


def _package_index(value: str) -> str:
    if not requirement_lines.address(value) or requirement_lines.has_login(value):
        raise ValueError(
            "should be addresses such as 'https://packages.example/simple', with no login"
        )
    return value


def _secret_reference(value: str) -> str:
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+", value):
        raise ValueError("should name where the secret is: 'env:NAME' or 'file:/path'")
    return value


def _file(value: Path) -> Path:
    path = value.expanduser()
    if not path.is_absolute():
        raise ValueError("should be a whole path such as '/etc/schnitzel/tokens.json' or '~/file'")
    return path


def _host_pattern(value: str) -> str:
    if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        raise ValueError("should be a name without port, such as 'deployer.example' or '*.example'")
    return value


def _listening(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+", value):
        raise ValueError("should be an address or a host's name, such as '127.0.0.1' or '0.0.0.0'")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Url = Annotated[str, AfterValidator(_web_address)]
PackageIndex = Annotated[str, AfterValidator(_package_index)]
"""A package index; its login, if it needs one, is kept where Python environments are built."""

File = Annotated[Path, AfterValidator(_file)]
"""A file; "~" is the home of the user who runs the Deployer."""

HostPattern = Annotated[str, AfterValidator(_host_pattern)]
SecretReference = Annotated[str, AfterValidator(_secret_reference)]


class Service(Frozen):
    """A server that `schnitzel up` runs, or an attached one."""

    url: Url | None = None
    """The URL of an attached server; null: `schnitzel up` runs one."""

    username: str | None = None
    """The user name for an attached server, if it requires a login."""

    password_ref: SecretReference | None = None
    """A reference to the password, "env:NAME" or "file:/path"; never the password itself."""


class Mlflow(Service):
    """The MLflow tracking server and registry."""

    port: Port = 5000
    """Port of our own MLflow on loopback."""


class Airflow(Service):
    """The Airflow that runs the training pipelines."""

    port: Port = 8080
    """Port of our own Airflow on loopback."""


class Prometheus(Service):
    """The Prometheus that a team's own metrics of a rollout are asked of."""

    url: Url | None = None
    """The URL of a server with Prometheus' HTTP API; null: nobody is asked."""


class Broker(Frozen):
    """A RabbitMQ broker whose queues models may consume."""

    url_ref: SecretReference
    """A reference to the broker's URL, "env:NAME" or "file:/path":
    amqps://user:password@host/virtual-host."""

    ca_file: File | None = None
    """Certificates (PEM) that the broker's own is checked against; null: the system's."""

    access: list[QueueAccess] = Field(default=[QueueAccess()])
    """The queues that projects may use."""


class Rabbitmq(Frozen):
    """The RabbitMQ that `schnitzel up` runs if `components` names it."""

    port: Port = 5672
    """Port for AMQP 0-9-1, on loopback."""


class Gateway(Frozen):
    """The gateway that routes prediction requests."""

    port: Port = 8000
    """Port for requests, on loopback."""

    api_port: Port = 8001
    """Port of the gateway's own API, on loopback, from which live weights are read."""

    url: Url | None = None
    """The address for clients, unless it is loopback and the port."""

    api_url: Url | None = None
    """The address of its API, unless it is loopback and the port."""


class Local(Frozen):
    """Where the target `local` runs model servers."""

    host: Annotated[str, AfterValidator(_listening)] | None = None
    """The container that runs model servers and their supervisord, with home and cache at the same
    paths; null: model servers are processes of this machine, on loopback."""


class Api(Frozen):
    """The MLflow Deployer itself, and its API."""

    port: Port = 8090
    """Port of the API."""

    host: Annotated[str, AfterValidator(_listening)] = "127.0.0.1"
    """The address that the API listens on; "0.0.0.0", every one, is for a pod."""

    public_url: Url | None = None
    """The address of the API for others (browsers, MLflow's webhooks); null: loopback."""

    allowed_hosts: list[HostPattern] = Field(default=[])
    """Further host names of the API, beside loopback's and public_url's."""

    tokens_file: File | None = None
    """The file with the hashes of API tokens; null: the one in the home."""

    webhook_secret_ref: SecretReference | None = None
    """A reference to the secret that signs MLflow's webhooks; null: generated, kept in the home."""

    database_ref: SecretReference | None = None
    """A reference to the URL of a PostgreSQL for records and history; null: SQLite in the home."""

    @property
    def url(self) -> str:
        """The address of the API for clients."""
        return self.public_url or f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> list[str]:
        """The host names that a request to the API may use, against DNS rebinding."""
        found = ["127.0.0.1", "localhost", *self.allowed_hosts]
        if self.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
            found.append(self.host)
        if self.public_url:
            found.append(urlsplit(self.public_url).hostname or "")
        return list(dict.fromkeys(found))
