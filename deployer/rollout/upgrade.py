"""Plan an upgrade of chart and server over all deployments.

A new version of the platform never rolls out to all deployments at once. Environments upgrade one
after the other, and each environment batch after batch; a newly promoted model version takes the
new platform version anyway. A deployment that fails on the new version keeps the old one, and stops
the upgrade there until an operator acts. A deployment with an unusable serving spec is no evidence
about the new version: it stays as it is, and the upgrade does not wait for it. A downgrade works
the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from deployer.state.record import Failure, Record

HALT: Final = "upgrade_halted"
"""The name of the stored value that has the operator who halted upgrades; empty if none did."""

PRODUCTION: Final = frozenset({"Production", "champion"})
"""The stage and the alias that mark an environment as production, which upgrades last."""


class UpgradePhase(StrEnum):
    """The progress of a deployment from another version to the target version."""

    NOW = "now"
    MOVING = "moving"
    WAITING = "waiting"
    FAILED = "failed"
    PAUSED = "paused"
    PROMOTED = "promoted"
    """Another model version is being rolled out, and takes the new chart and server along."""

    UNPROMOTED = "unpromoted"
    """Nothing is promoted, so no move begins."""

    INVALID = "invalid"
    """The promoted version's serving spec cannot be used; no move begins until it is fixed."""


BEGUN: Final = (UpgradePhase.NOW, UpgradePhase.MOVING)
ON_THE_WAY: Final = (UpgradePhase.NOW, UpgradePhase.MOVING, UpgradePhase.WAITING)


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one deployment to the target version of chart and server.

    `batch` counts from 1 over all environments; None for a move in no batch, for which the upgrade
    does not wait.
    """

    record: Record
    before: str
    after: str
    phase: UpgradePhase
    batch: int | None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The progress of an upgrade.

    Attributes:
        moves: The deployments on another version than the target version, in the order of moving.
        moving: Ids of the deployments that are moving or may begin to move.
        order: The environments in the order of moving.
        batches: The number of batches, including those that are done.
        done: The number of deployments on the target version.
    """

    moves: tuple[Move, ...] = ()
    moving: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    batches: int = 0
    done: int = 0

    def in_phase(self, *phases: UpgradePhase) -> tuple[Move, ...]:
        """Return the moves that are in one of these phases."""
        return tuple(move for move in self.moves if move.phase in phases)

    @property
    def invalid(self) -> frozenset[str]:
        """Ids of the deployments whose serving spec cannot be used."""
        return frozenset(move.record.id for move in self.in_phase(UpgradePhase.INVALID))

    @property
    def over(self) -> bool:
        """Whether no deployment is left that is to move or waits for an operator."""
        return not self.in_phase(*ON_THE_WAY, UpgradePhase.FAILED)


def order(production: Mapping[str, bool], named: Sequence[str]) -> list[str]:
    """Return the environments in the order in which they are upgraded.

    Args:
        production: For each environment, in the order of the settings, whether it is production.
        named: The environments that an operator put in order, which go first. Of the rest,
            production is last.
    """
    rest = sorted((name for name in production if name not in named), key=production.__getitem__)
    return [*(name for name in named if name in production), *rest]


def plan(
    records: Iterable[Record],
    wanted: Mapping[str, str],
    order: Sequence[str],
    share: float,
    *,
    halted: bool = False,
    unseen: Collection[str] = (),
    invalid: Collection[str] = (),
) -> Upgrade:
    """Choose which deployments may take the new version now.

    The deployments of an environment, by id, are cut into batches. A batch begins when the batch
    before has arrived, so that a fault of the new version shows in the first batch.

    Args:
        records: The records of all deployments.
        wanted: The target version of chart and server of each environment; "" for any version.
        order: The environments, first to upgrade first.
        share: The share of an environment's deployments that may move at the same time; at least
            one deployment may.
        halted: Whether no further move may begin.
        unseen: Environments whose records cannot be read now: no move begins there or after them.
        invalid: Ids of deployments whose serving spec cannot be used.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.champion and wanted.get(record.environment):
            groups.setdefault(record.environment, []).append(record)
    phases = {
        record.id: phase
        for name, group in groups.items()
        for record in group
        if (phase := _phase(record, wanted[name], valid=record.id not in invalid))
    }
    open_ = not (halted or UpgradePhase.FAILED in phases.values())
    batch = 0
    moves: list[Move] = []
    for environment in order:
        group = sorted(groups.get(environment, ()), key=lambda record: record.id)
        size = max(1, int(share * len(group)))
        room = size - sum(phases.get(record.id) is UpgradePhase.MOVING for record in group)
        open_ = open_ and environment not in unseen
        for start in range(0, len(group), size):
            batch += 1
            unfinished = False
            for record in group[start : start + size]:
                phase = phases.get(record.id)
                if phase is None or record.champion is None:
                    continue
                if phase is UpgradePhase.WAITING and open_ and room > 0:
                    phase, room = UpgradePhase.NOW, room - 1
                unfinished |= phase in ON_THE_WAY
                counted = batch if phase in (*ON_THE_WAY, UpgradePhase.FAILED) else None
                moves.append(
                    Move(record, record.champion.server, wanted[environment], phase, counted)
                )
            open_ = open_ and not unfinished
    moving = frozenset(move.record.id for move in moves if move.phase in BEGUN)
    done = sum(len(group) for group in groups.values()) - len(phases)
    return Upgrade(tuple(moves), moving, tuple(order), batch, done)


def assign(record: Record, drafted: Callable[[str], str], version: str, upgrade: Upgrade) -> Record:
    """Assign a deployment the version of chart and server that renders it.

    A champion that another model version or another spec is to replace gets the target version.

    Args:
        record: The deployment's record.
        drafted: Computes the digest of the wanted champion on a version of chart and server; ""
            where none can be wanted now.
        version: The target version of chart and server.
        upgrade: The progress of the upgrade, with the deployments that may move.
    """
    champion, server = record.champion, record.server
    kept = drafted(champion.server) if champion else ""
    if champion is None or kept not in ("", champion.digest) or record.id in upgrade.moving:
        server = version
    elif server not in (version, champion.server) or record.id in upgrade.invalid:
        # Its target version is not wanted any more, or its spec cannot be used: it waits again.
        server = champion.server
    return replace(record, server=server) if server != record.server else record


def failure(record: Record) -> Failure | None:
    """Return the failure of the predictor that should replace the champion; None without one."""
    serving = record.champion.digest if record.champion else ""
    return next((f for digest, f in record.failures.items() if digest != serving), None)


def _phase(record: Record, version: str, *, valid: bool) -> UpgradePhase | None:
    """Return the phase of a deployment; None if it is on the target version."""
    serving = record.champion
    winner = max(record.promotions, key=lambda mark: mark.sequence, default=None)
    if serving is None or serving.server == version:
        return None
    if record.pause:
        return UpgradePhase.PAUSED
    if winner is None:
        return UpgradePhase.UNPROMOTED
    if not valid:
        return UpgradePhase.INVALID
    if winner.version != serving.version:
        return UpgradePhase.PROMOTED
    if record.server != version:
        return UpgradePhase.WAITING
    return UpgradePhase.FAILED if failure(record) else UpgradePhase.MOVING
