"""In: all records and the version of chart and server to have. Out: which deployments may move now.

A new version of the platform never rolls everything at once. Environments go one after the other,
and in each a share of the deployments at a time; whatever is newly promoted takes the new version
anyway. A deployment that fails on the new version keeps the old one, and stops the upgrade there
until a person looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.state import Record
from deployer.versions import VersionId


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How far an upgrade is.

    Attributes:
        waiting: Ids of deployments on an older version, in the order in which they will move.
        moving: Ids of those that are moving, or may begin to.
        failed: Ids of those that could not be served on the new version.
    """

    waiting: tuple[str, ...]
    moving: frozenset[str]
    failed: tuple[str, ...]

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.waiting or self.moving or self.failed)


NOTHING = Upgrade((), frozenset(), ())


def plan(
    records: Iterable[Record],
    wanted: Mapping[str, str],
    order: Sequence[str],
    share: float,
    *,
    halted: bool = False,
) -> Upgrade:
    """Choose which deployments may take the new version now.

    Args:
        records: All of them.
        wanted: For each environment the version of chart and server to have; "" for any.
        order: Environments, the one to begin with first.
        share: Of an environment's deployments, how many may move at the same time; at least one.
        halted: Whether a person wants nothing more to move.
    """
    served: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.id):
        if record.serving and record.environment in order:
            served.setdefault(record.environment, []).append(record)
    waiting: list[str] = []
    moving: set[str] = set()
    failed: list[str] = []
    for environment in order:
        version = wanted.get(environment, "")
        group = served.get(environment, [])
        old = [r for r in group if version and r.serving and r.serving.server != version]
        failed += [r.id for r in old if _failed(r, version)]
        under_way = [r.id for r in old if r.server == version and not _failed(r, version)]
        rest = [r.id for r in old if r.server != version]
        moving.update(under_way)
        open_ = not (halted or failed or waiting or (moving - set(under_way)))
        room = max(1, int(share * len(group))) - len(under_way) if open_ else 0
        moving.update(rest[: max(0, room)])
        waiting += rest[max(0, room) :]
    return Upgrade(tuple(waiting), frozenset(moving), tuple(failed))


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
    if anew or record.id in upgrade.moving:
        return replace(record, server=version) if record.server != version else record
    if not record.server and serving:
        return replace(record, server=serving.server)
    return record


def _failed(record: Record, version: str) -> bool:
    return record.server == version and record.candidate is None and bool(record.failures)
