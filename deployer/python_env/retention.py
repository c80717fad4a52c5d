"""In: environments that were built, and what needs each. Out: which may go, and why others stay.

An environment goes when nothing runs in it, no deployment keeps a version that asks for it, and it
was last used longer ago than the grace time. Where anything is not known, nothing goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from deployer.background.jobs import Job
from deployer.state.registry import VersionId

Part = Literal["serving", "candidate", "draining", "promoted", "previous"]
"""What a version is to its deployment; `previous` is the one that it would be rolled back to."""


@dataclass(frozen=True, slots=True)
class Need:
    """A version that a deployment keeps, or would go back to; `predictor` where it has one."""

    model: str
    environment: str
    version: VersionId
    source: str
    part: Part
    predictor: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What all deployments need, or why that is not known now."""

    needs: tuple[Need, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A version that an environment is kept for."""

    model: str
    environment: str
    version: str
    part: str


@dataclass(frozen=True, slots=True)
class KeptEnvironment:
    """An environment that was built, or is being built.

    Attributes:
        name: names it to `collect`.
        image: by digest, as nodes pull it; of this machine, the folder. Empty while it is built.
        lock: the SHA-256 of its lock.
        python: its version, such as "3.11.2".
        size: bytes that it takes beside what others have too; None where that is not known.
        made_at: seconds since the epoch.
        used_at: when it was last seen in use, or asked for; to the day.
        phase: where it is; `unfinished` is a build that nobody goes on with.
        users: what it is kept for.
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
    """What came of a removal: names that went, names that stayed and why, and what to do."""

    names: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All environments of one place.

    Attributes:
        where: the repository, or the folder.
        built: each of them.
        unknown: why it is not known what they are kept for; empty if it is.
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
    """Who uses what.

    Args:
        needs: what deployments keep.
        live: what runs (a predictor's name, or another's), and the names of what it runs in.
        find: the names of what a need asks for; None: not known (yet).

    Returns:
        The users by name, and for what it is not known; "" if there is no such thing.
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
    for stranger in sorted(set(live) - {need.predictor for need in needs}):
        for name in live[stranger]:
            users[name] = (*users.get(name, ()), User(stranger, "", "", "running"))
    if not unknown:
        return users, ""
    first, more = unknown[0], len(unknown) - 1
    others = f" and {more} more" if more else ""
    what = f"{first.model}@{first.environment} version {first.version.number}{others}"
    return users, f"it is not known yet which packages are asked for by {what}"


def verdicts(inventory: Inventory, now: float, grace: float) -> dict[str, str]:
    """Why each environment stays, by its name; "" for what may go.

    Args:
        inventory: all environments of one place.
        now: seconds since the epoch.
        grace: seconds for which an unused one stays.
    """
    found = {
        built.name: _verdict(built, inventory.unknown, now, grace) for built in inventory.built
    }
    # Two locks may have come to the same packages, and so to the same image.
    staying = {built.image: built.name for built in inventory.built if found[built.name]}
    for built in inventory.built:
        other = staying.get(built.image)
        if built.image and other and not found[built.name]:
            found[built.name] = f"it is the same as {other}, which stays"
    return found


def choose(
    inventory: Inventory, names: Collection[str], now: float, grace: float
) -> tuple[list[KeptEnvironment], dict[str, str]]:
    """Those of the named that go, and why the others stay; arguments as of `verdicts`."""
    stays = verdicts(inventory, now, grace)
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
