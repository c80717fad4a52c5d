"""Call MLflow's REST API: registered models, their versions, runs and artifacts.

Paths and shapes: https://mlflow.org/docs/latest/rest-api.html. `get-artifact` is the call that
MLflow's own UI makes; it works with any artifact store that the server can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.clients.http import Refused, Service
from cli.errors import UsageError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

API = "/api/2.0/mlflow"
EXAMPLE = "serving_input_example.json"  # MLflow writes it beside MLmodel, ready for /invocations
MISSING = "RESOURCE_DOES_NOT_EXIST"

Version = dict[str, Any]


class Registry:
    """An MLflow server's registry and runs."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def models(self) -> list[dict[str, Any]]:
        """List the registered models, by name."""
        found = list(self._pages("registered-models/search", "registered_models", {}))
        return sorted(found, key=lambda model: model["name"])

    def model(self, name: str) -> dict[str, Any]:
        """Return one registered model.

        Raises:
            UsageError: there is none; the hint is the closest name.
        """
        try:
            found = self._service.get(f"{API}/registered-models/get", {"name": name})
        except Refused as error:
            if error.code != MISSING:
                raise
            names = [model["name"] for model in self.models()]
            raise unknown("model", name, names, "see what there is: schnitzel model list") from None
        return found["registered_model"]  # type: ignore[no-any-return]

    def versions(self, name: str) -> list[Version]:
        """List a model's versions, newest first, each with its aliases."""
        model = self.model(name)
        quote = '"' if "'" in name else "'"
        params = {"filter": f"name={quote}{name}{quote}"}
        found = list(self._pages("model-versions/search", "model_versions", params))
        for version in found:
            version["aliases"] = [
                each["alias"]
                for each in model.get("aliases", [])
                if str(each["version"]) == version["version"]
            ]
        return sorted(found, key=lambda version: int(version["version"]), reverse=True)

    def version(self, name: str, which: str) -> Version:
        """Find a version by its number, by an alias, or as `latest`.

        Raises:
            UsageError: the model has no such version.
        """
        versions = self.versions(name)
        if not versions:
            raise UsageError(f"{name} has no versions yet", "train it: schnitzel train PROJECT")
        for version in versions:
            if which in ("latest", version["version"]) or which in version["aliases"]:
                return version
        known = [v["version"] for v in versions] + [a for v in versions for a in v["aliases"]]
        there = ", ".join([v["version"] for v in versions[:10]])
        raise unknown(f"version of {name}", which, known, f"it has: {there}")

    def registered_by(self, dag_run: str) -> list[Version]:
        """Find the versions that a training run registered, by the tag that its last step sets."""
        params = {"filter": f"tags.`schnitzel.dag_run` = '{dag_run}'"}
        return list(self._pages("model-versions/search", "model_versions", params))

    def trained_by(self, project: str, dag_run: str) -> dict[str, Any] | None:
        """Find the MLflow run of a project's pipeline run, in the form of `run`."""
        try:
            found = self._service.get(
                f"{API}/experiments/get-by-name", {"experiment_name": project}
            )
        except Refused as error:
            if error.code == MISSING:
                return None
            raise
        body = {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "filter": f"tags.`schnitzel.dag_run` = '{dag_run}'",
            "max_results": 1,
        }
        runs = (self._service.post(f"{API}/runs/search", body) or {}).get("runs", [])
        return _run(runs[0]) if runs else None

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run: `metrics`, `params` and `tags` as dictionaries, and its status."""
        return _run(self._service.get(f"{API}/runs/get", {"run_id": run_id})["run"])

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        body = {"name": name, "alias": alias, "version": version}
        self._service.post(f"{API}/registered-models/alias", body)

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        body = {"name": name, "version": version, "key": key, "value": value}
        self._service.post(f"{API}/model-versions/set-tag", body)

    def move_to_stage(self, name: str, version: str, stage: str) -> None:
        """Move a version to a stage; other versions in the stage stay there."""
        body = {
            "name": name,
            "version": version,
            "stage": stage,
            "archive_existing_versions": False,
        }
        self._service.post(f"{API}/model-versions/transition-stage", body)

    def example(self, name: str, version: str) -> bytes:
        """Fetch the input example that was logged with a version, as a request for /invocations.

        Raises:
            UsageError: none was logged.
        """
        params = {"name": name, "version": version, "path": EXAMPLE}
        try:
            return self._service.send("GET", "/model-versions/get-artifact", params=params).body
        except Refused as error:
            if error.status not in (404, 500) and error.code != MISSING:
                raise
            raise UsageError(
                f"{name} version {version} was logged without an input example",
                "give an input with --input FILE, or log the model with input_example=",
            ) from None

    def _pages(self, path: str, key: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            page = self._service.get(
                f"{API}/{path}", {**params, "max_results": 1000, "page_token": token}
            )
            yield from page.get(key, [])
            token = page.get("next_page_token")
            if not token:
                return


def _run(run: dict[str, Any]) -> dict[str, Any]:
    data = run.get("data", {})
    return {
        "run_id": run["info"]["run_id"],
        "experiment_id": run["info"]["experiment_id"],
        "status": run["info"].get("status"),
        **{part: _pairs(data.get(part, [])) for part in ("metrics", "params", "tags")},
    }


def _pairs(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["key"]: item["value"] for item in items}
