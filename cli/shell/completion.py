"""Complete names at a shell's prompt.

A shell asks at each press of the Tab key: the answers of the services are cached in the home for
some seconds, and a service that does not answer at once completes nothing. No function here ever
raises.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.clients.all import Clients

KEPT_SECONDS = 20.0
WAIT_SECONDS = 1.0


def deployments(incomplete: str) -> list[str]:
    """Complete MODEL of a deployment; MODEL@ENV where one model has several deployments."""
    found = _cached("deployments", lambda clients: _labels(clients.deployments.find()))
    labels = [name for name in found if name.startswith(incomplete)]
    models = {name.rpartition("@")[0] for name in labels}
    if "@" in incomplete or (len(models) == 1 and len(labels) > 1):
        return _matching(labels, incomplete)
    return _matching(sorted(models), incomplete)


def pages(incomplete: str) -> list[str]:
    """Complete the arguments of `schnitzel open`."""
    return [*_matching(["overview", "mlflow", "airflow"], incomplete), *deployments(incomplete)]


def environments(incomplete: str) -> list[str]:
    """Complete an environment."""

    def names(clients: Clients) -> list[str]:
        return [each["name"] for each in clients.deployments.environments()]

    return _matching(_cached("environments", names), incomplete)


def versions(incomplete: str) -> list[str]:
    """Complete NAME; once a single model matches, NAME@ with its versions and aliases."""
    name, at, _ = incomplete.rpartition("@")
    if not at:
        found = _cached("models", lambda clients: _names(clients.registry.models()))
        models = [each for each in found if each.startswith(incomplete)]
        if len(models) != 1:
            return _matching(models, incomplete)
        name = models[0]

    def numbers(clients: Clients) -> list[str]:
        found = clients.registry.versions(name)
        aliases = [alias for each in found for alias in each["aliases"]]
        return [f"{name}@{each}" for each in (*(v["version"] for v in found), *aliases, "latest")]

    return _matching(_cached(f"versions of {name}", numbers), incomplete)


def projects(incomplete: str) -> list[str]:
    """Complete a registered project; reads the home only."""
    try:
        from cli.config import current
        from cli.tasks.projects import projects as registered

        return _matching(_names(registered(current().home)), incomplete)
    except Exception:  # noqa: BLE001  # a shell's prompt is no place for an error
        return []


def _matching(names: list[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _names(things: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in things]


def _labels(found: list[dict[str, Any]]) -> list[str]:
    from cli.clients.deployments import label

    return sorted(label(each) for each in found)


def _cached(what: str, ask: Callable[[Clients], list[str]]) -> list[str]:
    """Return names from the cache in the home, or ask the service if they are old."""
    try:
        from cli.config import current

        config = current()
        file = config.home / "run" / "completion.json"
        kept = _read(file)
        names, at = kept.get(what, ([], 0.0))
        if time.time() - at < KEPT_SECONDS:
            return list(names)
        from cli.clients.all import Clients

        # Without an answer the old names are cached again: the next Tab does not wait either.
        with suppress(Exception):
            names = ask(Clients(config, timeout=WAIT_SECONDS))
        _write(file, {**kept, what: (names, time.time())})
    except Exception:  # noqa: BLE001  # a shell's prompt is no place for an error
        return []
    return list(names)


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _write(file: Path, kept: dict[str, Any]) -> None:
    if not file.parent.parent.is_dir():
        return  # there is no home
    file.parent.mkdir(mode=0o700, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(kept))
    draft.replace(file)
