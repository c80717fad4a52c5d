"""Decide which built Python environments may be removed, and why the others stay.

A Python environment is removed when no process runs in it, no deployment keeps a version that needs
it, and its last use is longer ago than the grace time. Nothing is removed while any use is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from deployer.background.jobs import Job
from deployer.state.registry import VersionId

Part = Literal["serving", "candidate", "draining", "promoted", "previous"]
"""The role of a version in its deployment; a rollback returns to the `previous` version."""


@dataclass(frozen=True, slots=True)
class Need:
    """A version that a deployment keeps or would roll back to; `predictor` where it has one."""

    model: str
    environment: str
    version: VersionId
    source: str
    part: Part
    predictor: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of all deployments, or why they are unknown now."""

    needs: tuple[Need, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A version that a Python environment is kept for."""

    model: str
    environment: str
    version: str
    part: str


@dataclass(frozen=True, slots=True)
class KeptEnvironment:
    """A Python environment that was built, or is being built.

    Attributes:
        name: its name in `collect`.
        image: the image by digest, as nodes pull it; on this machine, the folder. Empty while it
            is built.
        lock: the SHA-256 of its lock.
        python: the version of its Python, such as "3.11.2".
        size: bytes that no other Python environment shares; None where that is unknown.
        made_at: seconds since the epoch.
        used_at: when it was last seen in use, or requested; to the day.
        phase: its phase; `unfinished` is an abandoned build.
        users: the versions that it is kept for.
    """

    name: str
    image: str
    lock: str
    python: str
    size: int | None
    made_at: float
    used_at: float
    phase: Literal["ready", "building", "unfinished", "removing"] = "ready"
    users: tuple[User, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of a removal: removed names, kept names with the reason, and the next step."""

    names: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All Python environments of a cluster or of this machine.

    Attributes:
        where: the image repository, or the folder.
        built: the Python environments.
        unknown: why their users are unknown; empty if they are known.
        removal: the last removal, if there was one since the start.
    """

    where: str
    built: tuple[KeptEnvironment, ...] = ()
    unknown: str = ""
    removal: Job[Removed] | None = None


def attribute(
    needs: Sequence[Need],
    live: Mapping[str, Collection[str]],
    find: Callable[[Need], Collection[str] | None],
) -> tuple[dict[str, tuple[User, ...]], str]:
    """Attribute Python environments to their users.

    Args:
        needs: the versions that deployments keep.
        live: by the name of a running predictor, or of another process, the names of the Python
            environments that it runs in.
        find: returns the names of the Python environments of a need; None: not known (yet).

    Returns:
        The users by the Python environment's name, and a sentence on the versions whose packages
        are unknown; "" if there are none.
    """
    users: dict[str, tuple[User, ...]] = {}
    unknown: list[Need] = []
    for need in needs:
        user = User(need.model, need.environment, str(need.version.number), need.part)
        found = live[need.predictor] if need.predictor in live else find(need)
        if found is None:
            unknown.append(need)
        for name in found or ():
            users[name] = (*users.get(name, ()), user)
    for foreign in sorted(set(live) - {need.predictor for need in needs}):
        for name in live[foreign]:
            users[name] = (*users.get(name, ()), User(foreign, "", "", "running"))
    if not unknown:
        return users, ""
    first, more = unknown[0], len(unknown) - 1
    others = f" and {more} more" if more else ""
    what = f"{first.model}@{first.environment} version {first.version.number}{others}"
    return users, f"it is not known yet which packages are asked for by {what}"


def decisions(inventory: Inventory, now: float, grace: float) -> dict[str, str]:
    """Return by name why each Python environment stays; "" if it may be removed.

    Args:
        inventory: all Python environments of a cluster or of this machine.
        now: seconds since the epoch.
        grace: seconds for which an unused Python environment stays.
    """
    found = {
        built.name: _verdict(built, inventory.unknown, now, grace) for built in inventory.built
    }
    # Two locks may resolve to the same packages, and so to the same image.
    staying = {built.image: built.name for built in inventory.built if found[built.name]}
    for built in inventory.built:
        other = staying.get(built.image)
        if built.image and other and not found[built.name]:
            found[built.name] = f"it is the same as {other}, which stays"
    return found


def choose(
    inventory: Inventory, names: Collection[str], now: float, grace: float
) -> tuple[list[KeptEnvironment], dict[str, str]]:
    """Choose the named Python environments to remove, and say why the other named ones stay.

    Takes the arguments of `decisions`.
    """
    stays = decisions(inventory, now, grace)
    kept = {name: stays[name] for name in names if stays.get(name)}
    others = {each.image: each.name for each in inventory.built if each.name not in names}
    chosen = []
    for each in inventory.built:
        if each.name not in names or each.name in kept:
            continue
        if each.image and each.image in others:
            kept[each.name] = f"it is the same as {others[each.image]}, which was not named"
        else:
            chosen.append(each)
    return chosen, kept


def _verdict(built: KeptEnvironment, unknown: str, now: float, grace: float) -> str:
    if built.phase == "building":
        return "it is being built"
    if built.users:
        first, more = built.users[0], len(built.users) - 1
        where = f"@{first.environment}" if first.environment else ""
        version = f" version {first.version}" if first.version else ""
        others = f" and {more} more" if more else ""
        return f"{first.model}{where}{version} ({first.part}){others}"
    if unknown:
        return unknown
    due = max(built.made_at, built.used_at) + grace
    if now < due:
        return f"unused, until {datetime.fromtimestamp(due, UTC):%Y-%m-%d %H:%M} UTC"
    return ""
