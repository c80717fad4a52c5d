"""Check a machine and a home for faults, and name the command that fixes each."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from stack import paths, ports, settings as settings_of
from stack.components import rabbitmq
from stack.components.components import base_environment
from stack.components.health import LISTENERS
from stack.components.status import load_addresses, platform_supervisor, status
from stack.components.traefik import binary
from stack.errors import SettingsError, StackError
from stack.paths import Layout
from stack.settings import CODE, Settings
from stack.supervision.listening import other_listener

Level = Literal["ok", "warn", "fail"]
GIGABYTE = 10**9
# These imports fail first in a broken Python environment: each loads compiled code.
IMPORTS = ("mlflow", "airflow", "pandas", "uvicorn", "supervisor.supervisord")
_EXACT = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;,]+)")


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    level: Level
    message: str
    """One sentence."""
    fix: str = ""
    """The command that fixes the fault; empty if there is none."""


def doctor(layout: Layout | None = None) -> list[Check]:
    """Run all checks in parallel, which takes about as long as importing MLflow and Airflow."""
    layout = layout or Layout(paths.home())
    looks: list[Callable[[Layout], Iterator[Check]]] = [
        _environment,
        _python,
        _tools,
        _folders,
        _disk,
        _settings,
        _components,
    ]
    with ThreadPoolExecutor(max_workers=len(looks)) as pool:
        found = list(pool.map(lambda look: list(look(layout)), looks))
    return [check for checks in (*found[1:], found[0]) for check in checks]


def _python(layout: Layout) -> Iterator[Check]:
    del layout
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        yield Check("python", "ok", f"Python {version}.")
    else:
        fix = "uv venv --python 3.11, and install again"
        yield Check("python", "fail", f"Python {version} runs, 3.11 is needed.", fix)


def _tools(layout: Layout) -> Iterator[Check]:
    del layout
    path = base_environment()["PATH"]
    for tool, why in (("uv", "makes environments"), ("git", "names a run's commit")):
        found = shutil.which(tool, path=path)
        if found:
            yield Check(tool, "ok", f"{tool}, which {why}, is {found}.")
        else:
            fix = "apt-get install git" if tool == "git" else _reinstall()
            yield Check(tool, "fail", f"{tool}, which {why}, is not on PATH.", fix)
    try:
        yield Check("traefik", "ok", f"Traefik, the gateway, is {binary()}.")
    except StackError as error:
        yield Check("traefik", "fail", error.message, _reinstall())
    if util.find_spec("supervisor") is None:
        yield Check("supervisord", "fail", "supervisord is not installed.", _reinstall())
    else:
        yield Check("supervisord", "ok", f"supervisord {metadata.version('supervisor')}.")


def _folders(layout: Layout) -> Iterator[Check]:
    folders = (("home", layout.home, "SCHNITZEL_HOME"), ("cache", paths.cache(), "SCHNITZEL_CACHE"))
    for name, folder, variable in folders:
        nearest = _nearest(folder)
        try:
            with tempfile.TemporaryFile(dir=nearest):
                yield Check(name, "ok", f"{folder} can be written.")
        except OSError as error:
            message = f"{nearest} cannot be written: {error.strerror}."
            fix = f"chmod u+rwx {nearest}, or set {variable} to another folder"
            yield Check(name, "fail", message, fix)


def _disk(layout: Layout) -> Iterator[Check]:
    for name, folder in (("home", layout.home), ("cache", paths.cache())):
        free = shutil.disk_usage(_nearest(folder)).free
        message = f"{free / GIGABYTE:.1f} GB are free where the {name} is."
        level: Level = "ok" if free > 5 * GIGABYTE else "warn" if free > GIGABYTE else "fail"
        fix = "" if level == "ok" else f"du -sh {_nearest(folder)}/* and delete what is old"
        yield Check(f"disk-{name}", level, message, fix)


def _settings(layout: Layout) -> Iterator[Check]:
    try:
        settings = settings_of.read(layout, paths.cache())
    except SettingsError as error:
        yield Check("settings", "fail", error.message, error.hint)
        return
    except (OSError, subprocess.SubprocessError) as error:
        yield Check("settings", "fail", f"The settings could not be read: {error}.", _reinstall())
        return
    where = layout.platform_yaml if layout.platform_yaml.exists() else "the defaults"
    yield Check("settings", "ok", f"The settings ({where}) are valid.")
    yield from _ports(layout, settings)
    if "rabbitmq" in settings.components:
        yield from _rabbitmq(layout)


def _rabbitmq(layout: Layout) -> Iterator[Check]:
    try:
        yield Check("rabbitmq-server", "ok", f"RabbitMQ's server is {rabbitmq.server()}.")
    except StackError as error:
        yield Check("rabbitmq-server", "fail", error.message, error.hint)
    if all(each.name != "rabbitmq" for each in load_addresses(layout)):
        yield Check("rabbitmq", "warn", "rabbitmq is not started.", "schnitzel up")


def _ports(layout: Layout, settings: Settings) -> Iterator[Check]:
    try:
        processes = platform_supervisor(layout).processes()
        running = {name: each.pid for name, each in processes.items() if each.pid}
    except StackError:
        running = {}
    recorded = ports.recorded(layout.ports)
    for name, wanted in settings.wanted_ports().items():
        if name.removesuffix("_api") in settings.attached():
            continue
        port = recorded.get(name, wanted)
        pid = running.get(LISTENERS.get(name, ""))
        if pid and (other := other_listener(port, pid)):
            message = f"Port {port}, meant for {name}, is taken by {other}."
            yield Check(
                f"port-{name}", "fail", message, "schnitzel up (it takes the next free one)"
            )
        elif pid:
            yield Check(f"port-{name}", "ok", f"Port {port} is held by our own {name}.")
        elif ports.is_free(port):
            yield Check(f"port-{name}", "ok", f"Port {port} is free for {name}.")
        else:
            message = f"Port {port}, meant for {name}, is taken by another program."
            yield Check(
                f"port-{name}", "warn", message, "schnitzel up (it takes the next free one)"
            )


def _components(layout: Layout) -> Iterator[Check]:
    for each in status(layout):
        if each.health == "healthy":
            version = f" {each.version}" if each.version else ""
            yield Check(each.name, "ok", f"{each.name}{version} answers at {each.url}.")
        elif not each.url:
            yield Check(each.name, "warn", f"{each.name} is not started.", "schnitzel up")
        elif each.attached:
            message = f"{each.name}, attached at {each.url}, does not work: {each.detail}."
            fix = f"start it there, or correct {each.name}.url in platform.yaml"
            yield Check(each.name, "fail", message, fix)
        else:
            message = f"{each.name} is {each.health}: {each.detail.rstrip('.')}; log: {each.log}."
            yield Check(each.name, "fail", message, "schnitzel up")


def _environment(layout: Layout) -> Iterator[Check]:
    del layout
    wrong = []
    for name, wanted in _pins().items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} is {found}, {wanted} is needed")
    if wrong:
        yield Check("packages", "fail", f"{'; '.join(wrong)}.", _reinstall())
        return
    with tempfile.TemporaryDirectory() as airflow_home:  # Airflow writes into it when loaded
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", f"import {', '.join(IMPORTS)}"],
            capture_output=True,
            text=True,
            env=base_environment() | {"AIRFLOW_HOME": airflow_home},
            timeout=300,
            check=False,
        )
    if done.returncode == 0:
        yield Check("packages", "ok", "MLflow, Airflow and what they need can be loaded.")
    else:
        output = (done.stderr.strip().splitlines() or ["no output"])[-1]
        yield Check("packages", "fail", f"The environment is broken: {output}", _reinstall())


def _pins() -> dict[str, str]:
    """Read the exact versions that the platform's extra requires."""
    requirements: list[str] = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        requirements = metadata.requires("schnitzel") or []
        requirements = [line for line in requirements if "platform" in line.partition(";")[2]]
    if not requirements and (CODE / "pyproject.toml").exists():
        project = tomllib.loads((CODE / "pyproject.toml").read_text())["project"]
        requirements = project["optional-dependencies"]["platform"]
    matches = (_EXACT.match(line) for line in requirements)
    return {match[1]: match[2] for match in matches if match}


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _reinstall() -> str:
    checkout = (CODE / "pyproject.toml").exists() and os.access(CODE / "Makefile", os.R_OK)
    return (
        f"make -B -C {CODE} install"
        if checkout
        else "uv tool install --reinstall schnitzel[platform]"
    )
