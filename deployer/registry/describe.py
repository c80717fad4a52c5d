"""Read the artifact location and serving.yaml of the winning version, once for each version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from deployer.desired import promotions
from deployer.errors import NotFound, SchnitzelError, SpecInvalid, VersionFailure
from deployer.registry.snapshot import Registry
from deployer.spec.resolve import parse_serving_file
from deployer.state.record import Description, Failure, Promotion, Record
from deployer.state.registry import ModelVersion, RegistrySnapshot

ReadFile = Callable[[str, str], bytes | None]


class Descriptions:
    """A reader of artifact locations and serving.yaml files.

    Args:
        registry: Resolves a version to the location of its files.
        read_file: Reads one small file of an artifact, given its source and name.
    """

    def __init__(self, registry: Registry, read_file: ReadFile) -> None:
        self._registry = registry
        self._read_file = read_file

    def read(
        self, record: Record, snapshot: RegistrySnapshot, now: float
    ) -> tuple[Record, Failure | None]:
        """Add the winner's description to the record and drop descriptions no longer needed.

        Returns:
            The record, and the failure if the description could not be read now.
        """
        promotion = promotions.winner(record.promotions)
        keep = {m.version.key for m in record.promotions}
        known = {k: d for k, d in record.descriptions.items() if k in keep}
        record = replace(record, descriptions=known)
        if promotion is None or promotion.version.key in known:
            return record, None
        version = _find(snapshot, promotion)
        if version is None:
            return record, None
        try:
            found = self._registry.describe(version, self._serving_file)
        except SpecInvalid as error:
            found = Description(version.source, None, error.message, error.hint)
        except VersionFailure as error:
            return record, Failure(error.reason, error.message, error.hint, now)
        except NotFound:
            return record, None  # deleted just now; the next poll or listing shows that
        except SchnitzelError as error:
            reason = type(error).__name__
            return record, Failure(reason, error.message, error.hint, now)
        return replace(record, descriptions={**known, promotion.version.key: found}), None

    def _serving_file(self, source: str) -> Mapping[str, Any] | None:
        text = self._read_file(source, "serving.yaml")
        return parse_serving_file(text) if text is not None else None


def _find(snapshot: RegistrySnapshot, promotion: Promotion) -> ModelVersion | None:
    model = snapshot.models.get(promotion.version.model)
    return next((v for v in model.versions if v.id == promotion.version), None) if model else None
