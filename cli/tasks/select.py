"""MODEL[@ENV] and -e as typed in, the deployments that they mean out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.clients.all import Clients
    from cli.clients.deployments import Deployment


def one(clients: Clients, model: str, environment: str | None) -> Deployment:
    """Find the one deployment that is meant.

    Raises:
        UsageError: there is none, or more than one.
    """
    return clients.deployments.one(model, _where(clients, model, environment))


def several(clients: Clients, model: str | None, environment: str | None) -> list[Deployment]:
    """Find the deployments that are meant; without a model all, or those of the environment.

    Raises:
        UsageError: a model was named that is not deployed.
    """
    if model is None:
        return clients.deployments.find(environment=environment)
    return clients.deployments.matching(model, _where(clients, model, environment))


def _where(clients: Clients, model: str, environment: str | None) -> str | None:
    """Resolve the environment: MODEL@ENV says it itself, else the flag, else the setting."""
    return None if "@" in model else environment or clients.config["environment"]
