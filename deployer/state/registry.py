"""The nouns of the registry: models, versions, what names a version for ever, what selects one.

Every class is a frozen value; nothing of ours is imported. Times are MLflow's, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class VersionId:
    """A model version for ever: a name that is deleted and made again starts at version 1 anew."""

    model: str
    number: int
    created: int
    model_id: str = ""

    @property
    def key(self) -> str:
        """Text that is the same for the same version, and only for it, within one model."""
        return f"{self.number}:{self.created}:{self.model_id}"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One row of the registry, as last seen."""

    id: VersionId
    stage: str
    aliases: frozenset[str]
    source: str
    run_id: str
    updated: int
    status: str = "READY"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model and its versions, lowest number first."""

    name: str
    versions: tuple[ModelVersion, ...]


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """What the registry held. `listed_at` names the last complete listing that this rests on.

    `asked` are the models that the registry was asked for by name along with that listing: only of
    these is it evidence that a version is not shown, or that nothing is promoted.
    """

    models: Mapping[str, RegisteredModel]
    listed_at: float
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Selector:
    """What makes a version wanted by an environment: a stage, an alias, or both."""

    stage: str | None
    alias: str | None
