"""Define the context that a pass reads from and acts on, and derive the upgrade from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from deployer.analysis.judging import Judging
from deployer.config.settings import Settings
from deployer.controller.queues import QueueWatch, without_brokers
from deployer.controller.scaler import Scaler
from deployer.registry.describe import Descriptions
from deployer.registry.identity import RegistryIdentity
from deployer.registry.promoters import Promoters
from deployer.registry.snapshot import Registry
from deployer.registry.tags import TagWriter
from deployer.rollout import upgrade
from deployer.store.evidence import EvidenceStore
from deployer.store.history import History
from deployer.store.router import RecordStores
from deployer.targets.base import Target


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """The services that a pass reads from and acts on."""

    settings: Settings
    registry: Registry
    descriptions: Descriptions
    identity: RegistryIdentity
    records: RecordStores
    history: History
    tags: TagWriter
    promoters: Promoters
    targets: Mapping[str, Target]
    """The target of each environment."""
    clock: Callable[[], float]
    judging: Judging
    """The verdicts on new versions."""
    evidence: EvidenceStore
    """What they rest on, and what they were."""
    queues: QueueWatch = field(default_factory=without_brokers)
    """The depths of the queues that deployments use, and the way to their brokers."""
    scaler: Scaler | None = None
    """The numbers of replicas that these depths ask for; None where nobody looks at them."""

    def start_queues(self) -> None:
        """Begin to read the queues, and to scale by their messages."""
        self.queues.start()
        if self.scaler:
            self.scaler.start()

    def close_queues(self) -> None:
        """End what `start_queues` began."""
        if self.scaler:
            self.scaler.close()
        self.queues.close()

    @property
    def each_target(self) -> list[Target]:
        """Every target once, even a target of several environments."""
        return list(dict.fromkeys(self.targets.values()))


def upgrading(context: ReconcileContext, invalid: Collection[str]) -> upgrade.Upgrade:
    """Plan the upgrade of chart and server: its progress, and the next deployments to move.

    Args:
        context: The records, targets and settings.
        invalid: Ids of deployments whose serving spec could not be used in their last pass.
    """
    settings = context.settings
    records, unseen = context.records.readable()
    production = {
        name: not upgrade.PRODUCTION.isdisjoint((one.stage, one.alias))
        for name, one in settings.environments.items()
    }
    return upgrade.plan(
        records,
        {name: target.server for name, target in context.targets.items()},
        upgrade.order(production, settings.policy.upgrade_order),
        settings.policy.upgrade_share,
        halted=halted(context),
        unseen=unseen,
        invalid=invalid,
    )


def halted(context: ReconcileContext) -> bool:
    """Return whether no deployment may begin to move to another version of chart and server."""
    return bool(context.records.get(upgrade.HALT) or context.identity.frozen)
