"""Create the clients of the platform's services: their URLs and credentials."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from cli.clients.airflow import Pipelines
from cli.clients.deployments import Deployments
from cli.clients.http import Service
from cli.clients.mlflow import Registry
from cli.clients.queues import Queues
from cli.config import KEYS, Config
from cli.errors import CommandError
from cli.settings import customised, platform_settings, ports


class Clients:
    """Every service of one platform, created at its first use.

    A URL is the CLI's own setting, else that of a service attached in platform.yaml, else our own
    service's on loopback.

    Args:
        config: the CLI's settings.
        timeout: seconds that an answer may take; None for each service's own default.
    """

    def __init__(self, config: Config, timeout: float | None = None) -> None:
        self.config = config
        self._timeout = timeout

    @cached_property
    def deployments(self) -> Deployments:
        """The Deployer's API of deployments, with this user's token if there is one."""
        return Deployments(self._deployer)

    @cached_property
    def queues(self) -> Queues:
        """The Deployer's API of queues, with the same token."""
        return Queues(self._deployer)

    @cached_property
    def _deployer(self) -> Service:
        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        login = (
            "the token is in HOME/token, or in SCHNITZEL_TOKEN"
            if token
            else f"no token in {self.config.home / 'token'}; make one with: schnitzel up"
        )
        return Service(
            "the Deployer",
            self.url("deployer"),
            headers=headers,
            start=self._start("deployer"),
            login=login,
            timeout=self._timeout or 10,
        )

    @cached_property
    def registry(self) -> Registry:
        """MLflow, logged in as MLFLOW_TRACKING_USERNAME or as the user in platform.yaml."""
        attached = self._attached("mlflow")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME") or attached.get("username")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
        if user and password is None:
            password = _password(attached)
        headers = {}
        if user:
            pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        elif os.environ.get("MLFLOW_TRACKING_TOKEN"):
            headers["Authorization"] = f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"
        login = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Registry(
            Service(
                "MLflow",
                self.url("mlflow"),
                headers=headers,
                start=self._start("mlflow"),
                login=login,
                timeout=self._timeout or 30,
            )
        )

    @cached_property
    def pipelines(self) -> Pipelines:
        """Airflow, as the generated admin or as the user in platform.yaml."""
        service = Service(
            "Airflow",
            self.url("airflow"),
            start=self._start("airflow"),
            timeout=self._timeout or 30,
        )
        if not self.runs_airflow:
            attached = self._attached("airflow")
            return Pipelines(service, attached.get("username") or "admin", _password(attached))
        return Pipelines(service, *self.airflow_login())

    def airflow_login(self) -> tuple[str, str]:
        """Return user and password of our own Airflow.

        Raises:
            CommandError: it has none, because it was never started.
        """
        path = self.airflow_passwords
        try:
            passwords: dict[str, str] = json.loads(path.read_text())
            return next(iter(passwords.items()))
        except (OSError, ValueError, StopIteration):
            raise CommandError(
                f"there is no password of Airflow in {path}", "start it with: schnitzel up"
            ) from None

    @property
    def airflow_passwords(self) -> Path:
        """The file with the logins of our own Airflow."""
        from stack.paths import Layout

        return Layout(self.config.home).airflow_passwords

    @property
    def runs_airflow(self) -> bool:
        """Whether Airflow is our own, rather than an attached one."""
        return not (self.config["airflow.url"] or self._attached("airflow").get("url"))

    def url(self, component: str) -> str:
        """Return the URL of `deployer`, `mlflow` or `airflow`, without a slash at the end."""
        found = self.config[f"{component}.url"] or self._attached(component).get("url")
        return (found or f"http://127.0.0.1:{self._ports[component]}").rstrip("/")

    @cached_property
    def _ports(self) -> dict[str, int]:
        return ports(self.config.home)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return platform_settings(self.config.home) if customised(self.config.home) else {}

    def _attached(self, component: str) -> dict[str, Any]:
        found: dict[str, Any] = self._settings.get(component) or {}
        return found

    def _start(self, component: str) -> str:
        if self.config[f"{component}.url"] or self._attached(component).get("url"):
            return "somebody else runs it; check its URL with: schnitzel config show"
        elsewhere = KEYS[f"{component}.url"].variable
        return f"start it with: schnitzel up; or say where it runs: export {elsewhere}=https://..."

    @property
    def subject(self) -> str:
        """The acting subject: that of the API token, else the user of the operating system."""
        named = self._token_line.rpartition(":")[0]
        if named:
            return named
        from getpass import getuser

        try:
            return getuser()
        except (OSError, KeyError):  # a container's user without an entry
            return f"uid-{os.getuid()}"

    def _token(self) -> str | None:
        return self._token_line.rpartition(":")[2] or None

    @cached_property
    def _token_line(self) -> str:
        """The token as SUBJECT:TOKEN, or alone; empty if there is none."""
        line = os.environ.get("SCHNITZEL_TOKEN")
        if not line:
            try:
                line = (self.config.home / "token").read_text()
            except OSError:
                return ""
        return line.strip()


def _password(attached: Mapping[str, Any]) -> str:
    """Read the password of an attached service from its reference in the settings."""
    from stack.settings import Service as Attached

    reference = attached.get("password_ref")
    return Attached(port=0, password_ref=reference).password() or ""
