"""Nothing in; out: all that a pass reads from and acts on, and how far an upgrade of it all is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployer.config.settings import Settings
from deployer.registry.describe import Reading
from deployer.registry.identity import Marker
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import Mirror
from deployer.rollout import upgrade
from deployer.store.history import History
from deployer.store.router import RecordStores
from deployer.targets.base import Target


@dataclass(frozen=True, slots=True)
class World:
    """All that a pass reads from and acts on."""

    settings: Settings
    registry: Registry
    reading: Reading
    marker: Marker
    records: RecordStores
    history: History
    mirror: Mirror
    promoters: Promoters
    targets: Mapping[str, Target]
    """By environment."""
    clock: Callable[[], float]
    invalid: set[str] = field(default_factory=set)
    """Ids of deployments whose serving spec cannot be used, as of the last pass over each."""

    @property
    def each_target(self) -> list[Target]:
        """Every target once, however many environments it serves."""
        return list(dict.fromkeys(self.targets.values()))


def upgrading(world: World) -> upgrade.Upgrade:
    """How far an upgrade of chart and server is, and who may move next."""
    settings = world.settings
    records, unseen = world.records.survey()
    production = {
        name: not upgrade.PRODUCTION.isdisjoint((one.stage, one.alias))
        for name, one in settings.environments.items()
    }
    return upgrade.plan(
        records,
        {name: target.server for name, target in world.targets.items()},
        upgrade.order(production, settings.policy.upgrade_order),
        settings.policy.upgrade_share,
        halted=halted(world),
        unseen=unseen,
        invalid=frozenset(world.invalid),
    )


def halted(world: World) -> bool:
    """Whether no deployment is to begin with another version of chart and server."""
    return bool(world.records.recall(upgrade.HALT) or world.marker.frozen)
