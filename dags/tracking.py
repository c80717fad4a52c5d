"""Open and close MLflow runs over MLflow's REST API."""

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from dags.errors import TrackingFailed

_HINT = "is MLflow running? `schnitzel status` says, `schnitzel up` starts it; then clear the task"


class Tracking:
    """A client for the few calls to MLflow's REST API of a pipeline, without importing mlflow.

    The API is described in MLflow's "REST API" reference; times are milliseconds since the epoch.
    Every call raises TrackingFailed if MLflow does not answer or refuses.
    """

    def __init__(self, url: str | None = None, *, timeout: float = 30.0) -> None:
        import httpx

        self.url = (url or os.environ.get("MLFLOW_TRACKING_URI", "")).rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise TrackingFailed(
                f'MLFLOW_TRACKING_URI is "{self.url}"', "it must be the URL of an MLflow server"
            )
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        self._client = httpx.Client(
            base_url=f"{self.url}/api/2.0/mlflow/",
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else {},
            timeout=timeout,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of a name, creating it if there is none."""
        found = self._get(
            "experiments/get-by-name", {"experiment_name": name}, missing_is_none=True
        )
        if found is None:
            try:
                return str(self._post("experiments/create", {"name": name})["experiment_id"])
            except TrackingFailed:  # another run may have created it in between
                found = self._get("experiments/get-by-name", {"experiment_name": name})
        assert found is not None  # noqa: S101 - for the type checker
        if found["experiment"]["lifecycle_stage"] != "active":
            raise TrackingFailed(
                f'the experiment "{name}" was deleted in MLflow', "restore it in the MLflow UI"
            )
        return str(found["experiment"]["experiment_id"])

    def create_run(
        self, experiment: str, name: str, tags: Mapping[str, str], params: Mapping[str, str]
    ) -> str:
        """Open a run, and return its id."""
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": _now(),
            "tags": [{"key": key, "value": value} for key, value in tags.items() if value],
        }
        run_id = str(self._post("runs/create", body)["run"]["info"]["run_id"])
        if params:
            pairs = [{"key": key, "value": value} for key, value in params.items()]
            self._post("runs/log-batch", {"run_id": run_id, "params": pairs})
        return run_id

    def reopen_run(self, run_id: str) -> bool:
        """Set an earlier run to RUNNING; False if there is no such active run."""
        found = self._get("runs/get", {"run_id": run_id}, missing_is_none=True)
        if found is None or found["run"]["info"]["lifecycle_stage"] != "active":
            return False
        self._post("runs/update", {"run_id": run_id, "status": "RUNNING"})
        return True

    def end_run(self, run_id: str, status: Literal["FINISHED", "FAILED"]) -> None:
        """Close a run."""
        self._post("runs/update", {"run_id": run_id, "status": status, "end_time": _now()})

    def _get(
        self, path: str, query: dict[str, str], *, missing_is_none: bool = False
    ) -> dict[str, Any] | None:
        return self._request("GET", path, missing_is_none=missing_is_none, params=query)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._request("POST", path, json=body) or {}

    def _request(
        self, method: str, path: str, *, missing_is_none: bool = False, **content: Any
    ) -> dict[str, Any] | None:
        import httpx

        try:
            response = self._client.request(method, path, **content)
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise TrackingFailed(f"{self.url}: {path}: {error}", _HINT) from error
        if response.is_success:
            return answer
        if missing_is_none and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        why = f"{response.status_code} {answer.get('error_code')}: {answer.get('message')}"
        raise TrackingFailed(f"{self.url}: {path}: {why}", _HINT)


def _now() -> int:
    return int(time.time() * 1000)
