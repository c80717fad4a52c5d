"""In: all records and the version of chart and server to have. Out: which deployments may move now.

A new version of the platform never rolls everything at once. Environments go one after the other,
and in each one batch after the other; whatever is newly promoted takes the new version anyway. A
deployment that fails on the new version keeps the old one, and stops the upgrade there until a
person looks at it. One whose serving spec cannot be used says nothing of the new version: it stays
as it is, and nobody waits for it. Going back to an older version is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from deployer.state.deployment import Failure, Predictor, Record
from deployer.state.registry import VersionId

HALT: Final = "upgrade_halted"
"""Under this name it is remembered who halted upgrades; empty if nobody did."""

PRODUCTION: Final = frozenset({"Production", "champion"})
"""The stage, or the alias, that makes an environment one to be upgraded last."""


class UpgradePhase(StrEnum):
    """Where a deployment that is on another version is on its way to the one to have."""

    NOW = "now"
    MOVING = "moving"
    WAITING = "waiting"
    FAILED = "failed"
    PAUSED = "paused"
    PROMOTED = "promoted"
    """Another model version is on its way there, and takes the new chart and server along."""

    UNPROMOTED = "unpromoted"
    """Nothing is promoted, so nothing new is begun."""

    INVALID = "invalid"
    """The serving spec of what is promoted cannot be used: nothing is begun until it is mended."""


BEGUN: Final = (UpgradePhase.NOW, UpgradePhase.MOVING)
ON_THE_WAY: Final = (UpgradePhase.NOW, UpgradePhase.MOVING, UpgradePhase.WAITING)


@dataclass(frozen=True, slots=True)
class Move:
    """One deployment's move to the version of chart and server to have.

    `batch` counts from 1 over all environments. None: it is in no batch, and nobody waits for it.
    """

    record: Record
    before: str
    after: str
    turn: UpgradePhase
    batch: int | None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How far an upgrade is.

    Attributes:
        moves: Those on another version than the one to have, in the order in which they move.
        moving: Ids of those that are moving, or may begin to.
        order: The environments in that order.
        batches: How many batches there are, those that are done included.
        done: How many deployments are on the version to have.
    """

    moves: tuple[Move, ...] = ()
    moving: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    batches: int = 0
    done: int = 0

    def of(self, *turns: UpgradePhase) -> tuple[Move, ...]:
        """The moves that are in one of these turns."""
        return tuple(move for move in self.moves if move.turn in turns)

    @property
    def invalid(self) -> frozenset[str]:
        """Ids of those whose serving spec cannot be used."""
        return frozenset(move.record.id for move in self.of(UpgradePhase.INVALID))

    @property
    def over(self) -> bool:
        """Whether nothing is left that moves by itself or waits for a person's look."""
        return not self.of(*ON_THE_WAY, UpgradePhase.FAILED)


def order(production: Mapping[str, bool], named: Sequence[str]) -> list[str]:
    """The environments in the order in which they are upgraded.

    Args:
        production: For each environment, in the order of the settings, whether it is production.
        named: Those that an operator put in order; they go first. Of the rest, production is last.
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

    The deployments of an environment, by id, are cut into batches. A batch begins when the one
    before has arrived, so that what is wrong with the new version shows in the first.

    Args:
        records: All of them.
        wanted: For each environment the version of chart and server to have; "" for any.
        order: Environments, the one to begin with first.
        share: Of an environment's deployments, how many may move at the same time; at least one.
        halted: Whether nothing more is to begin.
        unseen: Environments whose records cannot be seen now: nothing begins there or after them.
        invalid: Ids of deployments whose serving spec cannot be used.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.serving and wanted.get(record.environment):
            groups.setdefault(record.environment, []).append(record)
    turns = {
        record.id: turn
        for name, group in groups.items()
        for record in group
        if (turn := _turn(record, wanted[name], valid=record.id not in invalid))
    }
    open_ = not (halted or UpgradePhase.FAILED in turns.values())
    batch = 0
    moves: list[Move] = []
    for environment in order:
        group = sorted(groups.get(environment, ()), key=lambda record: record.id)
        size = max(1, int(share * len(group)))
        room = size - sum(turns.get(record.id) is UpgradePhase.MOVING for record in group)
        open_ = open_ and environment not in unseen
        for start in range(0, len(group), size):
            batch += 1
            unfinished = False
            for record in group[start : start + size]:
                turn = turns.get(record.id)
                if turn is None or record.serving is None:
                    continue
                if turn is UpgradePhase.WAITING and open_ and room > 0:
                    turn, room = UpgradePhase.NOW, room - 1
                unfinished |= turn in ON_THE_WAY
                counted = batch if turn in (*ON_THE_WAY, UpgradePhase.FAILED) else None
                moves.append(
                    Move(record, record.serving.server, wanted[environment], turn, counted)
                )
            open_ = open_ and not unfinished
    moving = frozenset(move.record.id for move in moves if move.turn in BEGUN)
    done = sum(len(group) for group in groups.values()) - len(turns)
    return Upgrade(tuple(moves), moving, tuple(order), batch, done)


def assign(record: Record, winner: VersionId | None, version: str, upgrade: Upgrade) -> Record:
    """Give a deployment the version of chart and server that it is to be rendered with.

    Args:
        record: The deployment's memory.
        winner: The model version that is promoted.
        version: The version of chart and server to have.
        upgrade: Who may move.
    """
    serving = record.serving
    anew = serving is None or (winner is not None and serving.version != winner)
    server = record.server
    if anew or record.id in upgrade.moving:
        server = version
    elif serving and (server not in (version, serving.server) or record.id in upgrade.invalid):
        # It was to move to a version that nobody wants any more; or it cannot, and waits anew.
        server = serving.server
    return replace(record, server=server) if server != record.server else record


def renew(record: Record, champion: Predictor | None, version: str) -> Record:
    """Give the version to have to a deployment that gets another predictor anyway, by its spec.

    Args:
        record: The deployment's memory, after `assign`.
        champion: What it is to be served by.
        version: The version of chart and server to have; all that is rendered anew is of it.
    """
    serving = record.serving
    if champion is None or serving is None or champion.digest == serving.digest:
        return record
    return replace(record, server=version) if record.server != version else record


def failure(record: Record) -> Failure | None:
    """Why what is to take the place of what serves did not come to serve."""
    serving = record.serving.digest if record.serving else ""
    return next((f for digest, f in record.failures.items() if digest != serving), None)


def _turn(record: Record, version: str, *, valid: bool) -> UpgradePhase | None:
    """Where a deployment is on its way; None if it is on the version to have."""
    serving = record.serving
    winner = max(record.marks, key=lambda mark: mark.sequence, default=None)
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
