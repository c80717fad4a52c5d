"""Define the nouns of the registry: models, versions, their identity and their selectors.

Every class is a frozen value; the module imports nothing of Schnitzel's. Times are MLflow's, in
milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class VersionId:
    """The permanent identity of a model version.

    Name and number do not suffice: a model that is deleted and created again starts at version 1.
    """

    model: str
    number: int
    created: int
    model_id: str = ""

    @property
    def key(self) -> str:
        """A text that identifies the version within its model."""
        return f"{self.number}:{self.created}:{self.model_id}"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A row of the registry, as last read."""

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
    """The content of the registry; `listed_at` is the time of its last complete listing.

    `asked` has the models that were requested by name along with that listing. Only for these is
    the snapshot evidence that a version is gone, or that nothing is promoted.
    """

    models: Mapping[str, RegisteredModel]
    listed_at: float
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Selector:
    """The stage, the alias or both that make an environment want a version."""

    stage: str | None
    alias: str | None
