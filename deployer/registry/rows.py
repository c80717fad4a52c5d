"""In: rows of MLflow's answers. Out: versions and aliases, or RegistryMalformed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.errors import RegistryMalformed
from deployer.state.registry import ModelVersion, VersionId


def aliases(row: Mapping[str, Any]) -> dict[str, int]:
    """The versions that a registered model's aliases name."""
    listed = row.get("aliases", [])
    if not isinstance(listed, list):
        raise RegistryMalformed("MLflow listed the aliases of a model as something else.")
    return {text(item, "alias"): number(item, "version") for item in listed}


def version(row: Any) -> ModelVersion:
    """A model version, whose aliases are another row's to tell."""
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


def text(row: Any, key: str) -> str:
    """A field that must be there and say something."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise RegistryMalformed(f"MLflow answered without a {key!r}.")
    return value


def number(row: Any, key: str) -> int:
    """A field that must be a number, which MLflow may write as text."""
    value = row.get(key) if isinstance(row, dict) else None
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise RegistryMalformed(f"MLflow answered with {value!r} as {key!r}.") from error


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    """The tags that are about us; others may be many, and are nobody's business here."""
    tags = row.get("tags", [])
    if not isinstance(tags, list):
        raise RegistryMalformed("MLflow listed the tags of a version as something else.")
    named = {text(tag, "key"): str(tag.get("value") or "") for tag in tags}
    return {key: value for key, value in named.items() if key.startswith("schnitzel.")}
