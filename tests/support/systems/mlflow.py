"""A real MLflow server on loopback, and the little of its REST API that tests need."""

from __future__ import annotations

import os
import shutil
import sysconfig
import uuid
from pathlib import Path
from typing import Any

import httpx

from support.run.forks import Forked
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.databases import mlflow_database

API = "/api/2.0/mlflow/"
LOG_CONFIG = Path(sysconfig.get_path("purelib"), "mlflow/server/uvicorn_log_config.yaml")


def _serve(port: int) -> None:
    import uvicorn
    from mlflow.server.fastapi_app import app

    uvicorn.run(app, host="127.0.0.1", port=port, log_config=str(LOG_CONFIG), access_log=False)


class MlflowServer:
    """MLflow in a folder: its database and its artifacts are there, and stay when it stops."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.running: Forked | None = None
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def start(self) -> MlflowServer:
        mlflow_database(self.folder / "mlflow.db")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "SCHNITZEL_"))}
        store = f"sqlite:///{self.folder}/mlflow.db"
        env |= {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "x" * 43 + "=",
            # What `mlflow server` tells the server that it becomes.
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self.folder / "artifacts"),
            "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
        log = self.folder / "mlflow.log"
        self.running = Forked(_serve, (self.port,), log, env, self.folder)
        wait_for(self._healthy, f"MLflow at {self.url}", 90)
        return self

    def stop(self) -> None:
        if self.running:
            self.running.stop()
            self.running = None

    def close(self) -> None:
        self.stop()
        self.client.close()

    def copy(self, folder: Path) -> None:
        """Copy the database and artifacts, as a backup would; only while it is stopped."""
        shutil.copytree(self.folder, folder)

    def _healthy(self) -> bool:
        assert self.running
        if self.running.process.poll() is not None:
            raise AssertionError(f"MLflow ended:\n{self.running.tail()}")
        try:
            return self.client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self._json(self.client.get(API + path, params=params))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._json(self.client.post(API + path, json=body))

    def delete(self, path: str, **body: Any) -> dict[str, Any]:
        return self._json(self.client.request("DELETE", API + path, json=body))

    def model(self, name: str) -> None:
        self.post("registered-models/create", name=name)

    def version(self, name: str, source: str = "s3://nowhere/model") -> int:
        answer = self.post("model-versions/create", name=name, source=source)
        return int(answer["model_version"]["version"])

    def stage(self, name: str, version: int, stage: str, archive: bool = False) -> None:
        self.post(
            "model-versions/transition-stage",
            name=name,
            version=str(version),
            stage=stage,
            archive_existing_versions=archive,
        )

    def alias(self, name: str, alias: str, version: int) -> None:
        self.post("registered-models/alias", name=name, alias=alias, version=str(version))

    def drop_alias(self, name: str, alias: str) -> None:
        self.delete("registered-models/alias", name=name, alias=alias)

    def tag(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag of a version; "" deletes it."""
        body = {"name": name, "version": str(version), "key": key}
        if value:
            self.post("model-versions/set-tag", **body, value=value)
        else:
            self.delete("model-versions/delete-tag", **body)

    def tags(self, name: str, version: int) -> dict[str, str]:
        answer = self.get("model-versions/get", name=name, version=str(version))
        return {tag["key"]: tag["value"] for tag in answer["model_version"].get("tags", [])}

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        assert response.status_code == 200, f"{response.request.url}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer
