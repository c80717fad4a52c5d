"""Load the versions of model configs, and keep their states."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from servable import Servable, say
from status import Status, invalid
from tensorflow_serving.apis import get_model_status_pb2

AVAILABLE = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE


class Models:
    """What is served."""

    def __init__(self, configs: list[Any], flags: dict[str, Any], most: int | None) -> None:
        self._labels = {each.name: dict(each.version_labels) for each in configs}
        self._found: dict[str, dict[int, Servable]] = {}
        for config in configs:
            versions = self._found[config.name] = {}
            for version in _wait_for_versions(config, flags["file_system_poll_wait_seconds"]):
                versions[version] = _load(config, version, flags, most)

    def find(self, name: str, version: str | None = None, label: str | None = None) -> Servable:
        """Return a version: the one that is named, or the newest. Raises Status."""
        wanted = self._number(name, version, label)
        versions = self._found.get(name, {})
        if wanted is None and versions:
            return versions[max(versions)]
        if wanted not in versions:
            asked = f"Latest({name})" if wanted is None else f"Specific({name}, {wanted})"
            raise Status("NOT_FOUND", f"Servable not found for request: {asked}")
        return versions[wanted]

    def status(self, name: str, version: str | None = None, label: str | None = None) -> Any:
        """Return a GetModelStatusResponse. Raises Status."""
        wanted, versions = self._number(name, version, label), self._found.get(name, {})
        if not versions:
            raise Status("NOT_FOUND", f"Could not find any versions of model {name}")
        if wanted is not None and wanted not in versions:
            raise Status("NOT_FOUND", f"Could not find version {wanted} of model {name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for each in sorted(versions) if wanted is None else [wanted]:
            added = response.model_version_status.add(version=each, state=AVAILABLE)
            added.status.error_code = 0
        return response

    def _number(self, name: str, version: str | None, label: str | None) -> int | None:
        if label is None:
            return None if version is None else int(version)
        number = self._labels.get(name, {}).get(label)
        if number is None:
            raise invalid(f"Unrecognized servable version label: {label}")
        return int(number)


def _wait_for_versions(config: Any, every: int) -> list[int]:
    """Return the versions to load, once they are there: the real one waits for them, too."""
    base, policy = Path(config.base_path), config.model_version_policy
    while True:
        there = [int(each.name) for each in base.glob("*") if each.name.isdigit()]
        kind = policy.WhichOneof("policy_choice") or "latest"
        if kind == "specific":
            chosen = [each for each in policy.specific.versions if each in there]
        elif kind == "all":
            chosen = sorted(there)
        else:
            chosen = sorted(there)[-(policy.latest.num_versions or 1) :]
        if chosen:
            return chosen
        say(f"No versions of servable {config.name} found under base path {base}.")
        time.sleep(max(every, 0.1))


def _load(config: Any, version: int, flags: dict[str, Any], most: int | None) -> Servable:
    folder = Path(config.base_path) / str(version)
    tries = 0
    while True:
        try:
            made = Servable(
                config.name, version, folder, flags["saved_model_tags"].split(","), most
            )
            if flags["enable_model_warmup"]:
                made.warm(folder, flags["num_request_iterations_for_warmup"])
        except Status as error:
            say(f"Loading servable: {{name: {config.name} version: {version}}} failed: {error}")
            if tries == flags["max_num_load_retries"]:
                raise Status(
                    "UNKNOWN",
                    "1 servable(s) did not become available: {{Servable(name: "
                    f"{config.name} version: {version}) due to error: {error}}}, }}",
                ) from error
            tries += 1
            time.sleep(max(0, flags["load_retry_interval_micros"]) / 1e6)
            continue
        say(f"Successfully loaded servable version {{name: {config.name} version: {version}}}")
        return made
