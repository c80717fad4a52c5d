"""Locate the files of a local platform under SCHNITZEL_HOME and SCHNITZEL_CACHE."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder of the platform's state, absolute; it need not exist yet."""
    return _folder("SCHNITZEL_HOME", "~/.local/state/schnitzel")


def cache() -> Path:
    """Return the folder of Python environments and artifacts, which can be rebuilt; absolute."""
    return _folder("SCHNITZEL_CACHE", "~/.cache/schnitzel")


def _folder(variable: str, default: str) -> Path:
    # An empty variable counts as unset, as in the XDG specification.
    return Path(os.environ.get(variable) or default).expanduser().absolute()


class Layout:
    """The paths of a home's files and folders; this class neither creates nor reads them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.platform_yaml = home / "platform.yaml"
        self.platform_id = home / "platform-id"
        self.ports = home / "ports.json"
        self.ports_wanted = home / ".ports-wanted.json"
        self.token = home / "token"
        self.up_lock = home / "up.lock"

        self.secrets = home / "secrets"
        self.tokens = self.secrets / "tokens.json"
        self.airflow_passwords = self.secrets / "airflow-passwords.json"
        self.rabbitmq_password = self.secrets / "rabbitmq-password"
        self.rabbitmq_url = self.secrets / "rabbitmq-url"
        self.webhook_secret = self.secrets / "webhook-secret"
        self.share_key = self.secrets / "share-key"
        self.webhook_encryption_key = self.secrets / "webhook-encryption-key"

        self.run = home / "run"
        self.logs = home / "logs"

        self.mlflow = home / "mlflow"
        self.mlflow_database = self.mlflow / "mlflow.db"
        self.mlflow_artifacts = self.mlflow / "artifacts"

        self.airflow = home / "airflow"
        self.airflow_dags = self.airflow / "dags"

        self.rabbitmq = home / "rabbitmq"

        self.deployer = home / "deployer"
        self.deployer_database = self.deployer / "deployer.db"

        self.gateway = home / "gateway"
        self.gateway_config = self.gateway / "traefik.yaml"
        self.gateway_dynamic = self.gateway / "dynamic"

        self.serving = home / "serving"
        self.predictors = self.serving / "predictors"

        self.projects = home / "projects"
        self.runs = home / "runs"

    def data(self) -> list[Path]:
        """List all paths that a platform creates; not platform.yaml, which an operator writes."""
        return [
            value
            for name, value in vars(self).items()
            if value.parent == self.home and name != "platform_yaml"
        ]
