"""Find the deployments that this platform manages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from deployer import naming
from deployer.controller.context import ReconcileContext
from deployer.desired import promotions
from deployer.errors import SchnitzelError
from deployer.state.record import Record


class Key(NamedTuple):
    """A deployment: its id, its registered model and its environment."""

    id: str
    model: str
    environment: str


def _key(model: str, environment: str) -> Key:
    return Key(naming.deployment_id(model, environment), model, environment)


def key_of(record: Record) -> Key:
    """Return the key of a record's deployment."""
    return Key(record.id, record.model, record.environment)


class Scope:
    """The deployments promoted to, on record in, or running in this platform's environments.

    Args:
        context: The settings, registry, records and targets.
        held: Returns the environments that another platform holds, each with that platform's id.
    """

    def __init__(self, context: ReconcileContext, held: Callable[[], Mapping[str, str]]) -> None:
        self._context = context
        self._held = held

    def environments(self) -> list[str]:
        """List the environments of this platform that no other platform holds."""
        held = self._held()
        return [name for name in self._context.settings.environments if name not in held]

    def all(self) -> set[Key]:
        """Return every known deployment."""
        context = self._context
        known = {key_of(record) for record in context.records.all()}
        for target in context.each_target:
            with suppress(SchnitzelError):  # its passes report the error
                known |= {_key(*one) for one in target.deployments()}
        ours, snapshot = self.environments(), context.registry.snapshot
        if snapshot:
            for environment in ours:
                names = promotions.promoted_models(snapshot, context.settings.selector(environment))
                known |= {_key(n, environment) for n in names if context.settings.models.serves(n)}
        return {key for key in known if key.environment in ours}

    def of(self, models: Iterable[str], known: Iterable[Key]) -> set[Key]:
        """Return the deployments of these models: those already known, and those now promoted."""
        context, ours = self._context, self.environments()
        named = set(models)
        found = {key for key in known if key.model in named and key.environment in ours}
        snapshot = context.registry.snapshot
        if snapshot:
            for environment in ours:
                selector = context.settings.selector(environment)
                found |= {
                    _key(model, environment)
                    for model in named
                    if context.settings.models.serves(model)
                    and promotions.matching_versions(snapshot.models.get(model), selector)
                }
        return found
