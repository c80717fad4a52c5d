"""Report the status of each component that the last `up` started or attached."""

import json
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from stack import paths
from stack.components.components import NAMES, OPTIONAL, base_environment
from stack.components.health import LISTENERS, Address, probe
from stack.errors import StackError
from stack.files import write_private
from stack.paths import Layout
from stack.settings import Service
from stack.supervision.supervisor import Process, Supervisor


@dataclass(frozen=True)
class Status:
    """The observed status of a component."""

    name: str
    url: str
    """Empty if the component was never started."""
    health: Literal["healthy", "starting", "unhealthy", "stopped"]
    detail: str
    """Why the component is not healthy; else empty."""
    version: str | None = None
    pid: int | None = None
    """The pid of the listening process; None if the component is attached or stopped."""
    uptime_seconds: float | None = None
    attached: bool = False
    log: str | None = None
    """The log file; None if the component is attached."""


def platform_supervisor(layout: Layout) -> Supervisor:
    """Return the supervisord of the platform's components."""
    return Supervisor(layout.run, "schnitzel-platform", base_environment())


def save_addresses(layout: Layout, addresses: Collection[Address]) -> None:
    """Record the components' addresses, so that their status needs no settings."""
    kept = {address.name: address for address in (*load_addresses(layout), *addresses)}
    write_private(_file(layout), json.dumps([asdict(each) for each in kept.values()], indent=1))


def load_addresses(layout: Layout) -> list[Address]:
    """Read the recorded addresses; empty after `down`."""
    try:
        return [Address(**each) for each in json.loads(_file(layout).read_text())]
    except (OSError, ValueError, TypeError):
        return []  # `doctor` reports an unreadable home


def delete_address(layout: Layout, name: str) -> None:
    """Delete the recorded address of one component, so that its status is reported no longer."""
    known = load_addresses(layout)
    kept = [asdict(each) for each in known if each.name != name]
    if len(kept) != len(known):
        write_private(_file(layout), json.dumps(kept, indent=1))


def delete_addresses(layout: Layout) -> None:
    """Delete the recorded addresses."""
    _file(layout).unlink(missing_ok=True)


def status(
    layout: Layout | None = None, elsewhere: Mapping[str, str] | None = None
) -> list[Status]:
    """Check all components in parallel; takes as long as the slowest answer, seconds at most.

    An optional component is reported if the last `up` started it.

    Args:
        layout: the home.
        elsewhere: URLs of components that this home did not start or attach, by name. Where a
            Deployer is among them, unknown components are not reported as stopped.
    """
    layout = layout or Layout(paths.home())
    addresses = {address.name: address for address in load_addresses(layout)}
    remote = {name: url for name, url in (elsewhere or {}).items() if name not in addresses}
    addresses |= {name: Address(name, url, url, attached=True) for name, url in remote.items()}
    try:
        processes = platform_supervisor(layout).processes() if addresses else {}
    except StackError:
        processes = {}

    def one(name: str) -> Status:
        if name not in addresses:
            return Status(name, "", "stopped", "It is not started.")
        return _status_of(layout, addresses[name], processes)

    every = [*NAMES, *(name for name in OPTIONAL if name in addresses)]
    with ThreadPoolExecutor(max_workers=len(every)) as pool:
        looked = [name for name in every if name in addresses or "deployer" not in remote]
        return list(pool.map(one, looked))


def _status_of(layout: Layout, address: Address, processes: Mapping[str, Process]) -> Status:
    try:
        login = Service(0, address.url, address.username, address.password_ref).authorization()
    except StackError as error:
        return Status(address.name, address.url, "unhealthy", error.message, attached=True)
    health = probe(address, processes, login)
    if address.attached:
        state: Literal["healthy", "unhealthy"] = "healthy" if health.ok else "unhealthy"
        return Status(
            address.name, address.url, state, health.detail, health.version, attached=True
        )
    listener = LISTENERS[address.name]
    process = processes.get(listener)
    return Status(
        name=address.name,
        url=address.url,
        health=_state(process, ok=health.ok),
        detail="" if health.ok else _detail(process, health.detail),
        version=health.version,
        pid=process.pid if process else None,
        uptime_seconds=time.time() - process.started if process and process.started else None,
        log=str(layout.logs / f"{listener}.log"),
    )


def _state(
    process: Process | None, *, ok: bool
) -> Literal["healthy", "starting", "unhealthy", "stopped"]:
    if process is None or process.state == "STOPPED":
        return "stopped"
    if ok and process.pid:
        return "healthy"
    young = process.started is not None and time.time() - process.started < 60
    return "starting" if young else "unhealthy"


def _detail(process: Process | None, seen: str) -> str:
    if process is None:
        return "It does not run."
    return seen if process.pid else f"It is {process.state}: {process.message}."


def _file(layout: Layout) -> Path:
    return layout.run / "components.json"
