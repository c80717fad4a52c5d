"""Nothing in; out: the servers of a platform (ours or attached), as sections of platform.yaml."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from deployer.specmodel import Frozen


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address such as 'http://mlflow.example:5000'")
    if parts.username or parts.password:
        raise ValueError("should carry no user or password; use the fields username, password_ref")
    return value.rstrip("/")


def _secret_reference(value: str) -> str:
    if not re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+", value):
        raise ValueError("should name where the secret is: 'env:NAME' or 'file:/path'")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Url = Annotated[str, AfterValidator(_web_address)]
SecretReference = Annotated[str, AfterValidator(_secret_reference)]


class Service(Frozen):
    """A server that we run, or that somebody else does."""

    url: Url | None = None
    """Where somebody else runs it; null: `schnitzel up` runs one of our own."""

    username: str | None = None
    """Who we are there, if it asks."""

    password_ref: SecretReference | None = None
    """Where the password is: "env:NAME" or "file:/path"; never the password itself."""


class Mlflow(Service):
    """The MLflow tracking server and registry."""

    port: Port = 5000
    """Port of our own MLflow on loopback."""


class Airflow(Service):
    """The Airflow that runs the training pipelines."""

    port: Port = 8080
    """Port of our own Airflow on loopback."""


class Gateway(Frozen):
    """The gateway that predictions are asked of."""

    port: Port = 8000
    """Port for requests, on loopback."""

    api_port: Port = 8001
    """Port of the gateway's own API, on loopback, from which live weights are read."""

    url: Url | None = None
    """The address that people reach it at, if it is not loopback and its port."""

    api_url: Url | None = None
    """The address of its API, if it is not loopback and its port."""


class Api(Frozen):
    """The MLflow Deployer's own API."""

    port: Port = 8090
    """Port on loopback."""
