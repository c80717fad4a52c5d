"""Start and stop the platform of a home, with plain results for the CLI to print."""

import fcntl
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from stack import credentials, paths, ports, settings as settings_of
from stack.components import components as parts, health, rabbitmq
from stack.components.components import Component
from stack.components.status import (
    Status,
    delete_address,
    delete_addresses,
    platform_supervisor,
    save_addresses,
    status,
)
from stack.errors import StackError
from stack.paths import Layout
from stack.settings import Settings
from stack.starting import Progress, start
from stack.supervision.listening import other_listener
from stack.supervision.supervisor import SERVING, Supervisor

__all__ = ["Login", "Progress", "Status", "Up", "down", "platform_supervisor", "status", "up"]


@dataclass(frozen=True)
class Login:
    """A user's login at a component; the password stays in its file."""

    component: str
    user: str
    password_file: str


@dataclass(frozen=True)
class Up:
    """The result of `up`."""

    components: list[Status]
    started: list[str]
    """Programs that were started or replaced; empty if all were running."""
    notices: list[str]
    """Sentences for the operator: moved ports, missing abilities of an attached MLflow."""
    logins: list[Login]
    seconds: float


def up(
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    layout: Layout | None = None,
    only: Collection[str] = (*parts.NAMES, *parts.OPTIONAL),
    settings: Settings | None = None,
) -> Up:
    """Start the components that do not run, and wait until all are healthy.

    Changes nothing if they are healthy already.

    Args:
        progress: called from several threads: whenever a component's state or detail changes,
            and about twice a second while `up` waits for it.
        layout: the home; default: that of SCHNITZEL_HOME.
        only: the components to start.
        settings: default: read through the Deployer.

    Raises:
        StackError: the start failed. A component that failed is stopped; the others keep running.
    """
    began = time.monotonic()
    layout = layout or Layout(paths.home())
    _make_folders(layout)
    with _exclusive(layout, progress):
        settings = settings or settings_of.read(layout, paths.cache())
        secrets = credentials.ensure(layout)
        supervisor = platform_supervisor(layout)
        supervisor.ensure(fresh=True)
        before = {name: each.pid for name, each in supervisor.processes().items() if each.pid}
        chosen, notices = ports.choose(
            _listeners(settings, only),
            layout.ports,
            _held(ports.recorded(layout.ports), before),
        )
        every = settings.wanted_ports() | ports.recorded(layout.ports) | chosen
        components = [
            component
            for component in parts.build(layout, paths.cache(), settings, every, secrets)
            if component.address.name in only
        ]
        _end_attached(supervisor, components)
        _end_unnamed(layout, supervisor, settings)
        save_addresses(layout, [component.address for component in components])
        start(supervisor, components, progress)
        after = supervisor.processes()
    return Up(
        components=status(layout),
        started=sorted(name for name in after if after[name].pid != before.get(name)),
        notices=notices + _missing_abilities(components),
        logins=_logins(layout, components),
        seconds=time.monotonic() - began,
    )


def down(*, layout: Layout | None = None, delete_data: bool = False) -> list[str]:
    """Stop all programs of a home, model servers too, and return the names of those that ran.

    Args:
        layout: the home; default: that of SCHNITZEL_HOME.
        delete_data: also delete the platform's data; the operator's platform.yaml stays.
    """
    layout = layout or Layout(paths.home())
    if not layout.home.exists():
        return []
    stopped: list[str] = []
    with _exclusive(layout, lambda _: None):
        # Stop the Deployer before its model servers, which it would start again.
        for supervisor in (
            platform_supervisor(layout),
            Supervisor(layout.serving, SERVING),
        ):
            if supervisor.alive():
                stopped += [name for name, each in supervisor.processes().items() if each.pid]
            supervisor.shutdown()
        delete_addresses(layout)
        if delete_data:
            for path in layout.data():
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
    return sorted(stopped)


def _make_folders(layout: Layout) -> None:
    folders = (layout.home, layout.run, layout.logs, layout.projects, layout.runs, paths.cache())
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StackError(
                f"{folder} cannot be made: {error.strerror}.",
                "Set SCHNITZEL_HOME and SCHNITZEL_CACHE to folders that you can write.",
            ) from error


def _listeners(settings: Settings, only: Collection[str]) -> dict[str, int]:
    return {
        name: port
        for name, port in settings.wanted_ports().items()
        if (owner := name.removesuffix("_api")) in only and owner not in settings.attached()
    }


def _held(recorded: Mapping[str, int], pids: Mapping[str, int]) -> list[str]:
    """List the listeners whose program runs and whose recorded port no other program holds."""
    return [
        name
        for name, program in health.LISTENERS.items()
        if program in pids and not other_listener(recorded.get(name, 0), pids[program])
    ]


def _end_attached(supervisor: Supervisor, components: Collection[Component]) -> None:
    """Stop our own programs of components that are attached by now."""
    for component in components:
        if component.address.attached:
            for name in list(supervisor.processes()):
                if name.split("-")[0] == component.address.name:
                    supervisor.remove(name, grace=10)


def _end_unnamed(layout: Layout, supervisor: Supervisor, settings: Settings) -> None:
    """Stop the optional components that platform.yaml names no longer; their data stay."""
    for name in set(parts.OPTIONAL) - set(settings.components):
        supervisor.remove(name, grace=30)
        delete_address(layout, name)


def _logins(layout: Layout, components: Collection[Component]) -> list[Login]:
    ours = {each.address.name for each in components if not each.address.attached}
    every = (
        Login("airflow", "admin", str(layout.airflow_passwords)),
        Login("rabbitmq", rabbitmq.USER, str(layout.rabbitmq_password)),
    )
    return [login for login in every if login.component in ours]


def _missing_abilities(components: Collection[Component]) -> list[str]:
    sentences = []
    for component in components:
        address = component.address
        if address.attached and address.name == "mlflow":
            can = health.mlflow_abilities(address.url, component.headers, direct=False)
            if not can.webhooks:
                sentences.append(
                    f"{address.url} has no webhooks for us: promotions by alias are seen within "
                    "30 s, not at once."
                )
            if can.aliases is False:
                sentences.append(f"{address.url} has no aliases: promote by stage.")
            if can.stages is False:
                sentences.append(f"{address.url} has no stages: promote by alias.")
    return sentences


@contextmanager
def _exclusive(layout: Layout, progress: Callable[[Progress], None]) -> Iterator[None]:
    began = time.monotonic()
    with layout.up_lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = "for another `schnitzel up` or `down` of this home"
            progress(Progress("platform", "waiting", reason, time.monotonic() - began))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
