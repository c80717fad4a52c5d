"""Parse rows of MLflow's answers; malformed rows raise RegistryMalformed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.errors import RegistryMalformed
from deployer.state.registry import ModelVersion, VersionId

PREFIX, CLAIM = "schnitzel.", ".promoted_by"
"""`schnitzel.ENVIRONMENT.promoted_by` is the tag that claims a promotion for a user."""


def aliases(row: Mapping[str, Any]) -> dict[str, int]:
    """Parse the aliases of a registered model, each with the version that the alias names."""
    listed = row.get("aliases", [])
    if not isinstance(listed, list):
        raise RegistryMalformed("MLflow listed the aliases of a model as something else.")
    return {text(item, "alias"): number(item, "version") for item in listed}


def version(row: Any) -> ModelVersion:
    """Parse a model version, without its aliases, which the row of its model has."""
    if not isinstance(row, dict):
        raise RegistryMalformed("MLflow listed a model version that is not an object.")
    source = str(row.get("source") or "")
    model_id = str(row.get("model_id") or source.removeprefix("models:/"))
    created = number(row, "creation_timestamp")
    return ModelVersion(
        id=VersionId(text(row, "name"), number(row, "version"), created, model_id),
        stage=str(row.get("current_stage") or "None"),
        aliases=frozenset(),
        source=source,
        run_id=str(row.get("run_id") or ""),
        updated=number(row, "last_updated_timestamp") if "last_updated_timestamp" in row else 0,
        status=str(row.get("status") or "READY"),
        tags=_tags(row),
    )


def claims(tags: Mapping[str, str]) -> dict[str, str]:
    """Select the tags that claim a promotion for a user, whatever the environment."""
    return {key: value for key, value in tags.items() if key.endswith(CLAIM)}


def text(row: Any, key: str) -> str:
    """Return a required, non-empty text field."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise RegistryMalformed(f"MLflow answered without a {key!r}.")
    return value


def number(row: Any, key: str) -> int:
    """Return a required number, which MLflow may write as text."""
    value = row.get(key) if isinstance(row, dict) else None
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise RegistryMalformed(f"MLflow answered with {value!r} as {key!r}.") from error


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    """Select the tags of Schnitzel; a version may have many others, which the Deployer ignores."""
    tags = row.get("tags", [])
    if not isinstance(tags, list):
        raise RegistryMalformed("MLflow listed the tags of a version as something else.")
    named = {text(tag, "key"): str(tag.get("value") or "") for tag in tags}
    return {key: value for key, value in named.items() if key.startswith(PREFIX)}
