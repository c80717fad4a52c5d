"""In: settings, registry, records, targets, claims. Out: the deployments to look after here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from deployer.controller.context import ReconcileContext
from deployer.desired import promotions
from deployer.errors import SchnitzelError

Key = tuple[str, str]  # model, environment


class Scope:
    """What is ours: all that is promoted to, on record in, or running in our environments.

    Args:
        context: What is known.
        held: The environments that another platform holds, and its id.
    """

    def __init__(self, context: ReconcileContext, held: Callable[[], Mapping[str, str]]) -> None:
        self._context = context
        self._held = held

    def environments(self) -> list[str]:
        """The environments of this platform that no other one holds."""
        held = self._held()
        return [name for name in self._context.settings.environments if name not in held]

    def everything(self) -> set[Key]:
        """Every deployment of which anything is known."""
        context = self._context
        known = {(record.model, record.environment) for record in context.records.all()}
        for target in context.each_target:
            with suppress(SchnitzelError):  # its passes will say so
                known |= target.deployments()
        ours, snapshot = self.environments(), context.registry.snapshot
        if snapshot:
            for environment in ours:
                names = promotions.promoted_models(snapshot, context.settings.selector(environment))
                known |= {(n, environment) for n in names if context.settings.models.serves(n)}
        return {(model, environment) for model, environment in known if environment in ours}

    def of(self, models: Iterable[str], known: Iterable[Key]) -> set[Key]:
        """The deployments of these models: those known already, and those promoted by now."""
        context, ours = self._context, self.environments()
        named = set(models)
        found = {(model, where) for model, where in known if model in named and where in ours}
        snapshot = context.registry.snapshot
        if snapshot:
            for environment in ours:
                selector = context.settings.selector(environment)
                found |= {
                    (model, environment)
                    for model in named
                    if context.settings.models.serves(model)
                    and promotions.promotions(snapshot.models.get(model), selector)
                }
        return found
