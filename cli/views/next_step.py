"""What is seen of a platform in, the one command to type next out; pure."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import deployment_command, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.clients.deployments import Deployment
    from stack.components.status import Status

# What to do about the first deployment in such a state, unless the Deployer says it better.
_STATES = {
    "Failed": ("deploy status",),
    "Degraded": ("deploy status",),
    "Progressing": ("deploy wait",),
    "NothingPromoted": ("deploy status",),
    "Serving": ("predict", "--example"),
}


def next_step(
    components: Sequence[Status],
    registry: dict[str, Any] | None,
    deployments: Sequence[Deployment],
    projects: Sequence[str],
) -> str:
    """Choose the next step: the deepest problem first, then the next stop on the golden path.

    Args:
        components: the platform's, as seen.
        registry: what the Deployer says of MLflow; None while it does not answer.
        deployments: every deployment.
        projects: the names of the registered projects.
    """
    seen = (
        _of_components(components),
        (registry or {}).get("next_step"),
        _of_deployments(deployments),
        "schnitzel model promote NAME@VERSION --to prod" if (registry or {}).get("models") else "",
    )
    return next((str(step) for step in seen if step), after_up(projects))


def _of_components(components: Sequence[Status]) -> str:
    states = {each.health for each in components}
    steps = {"stopped": "up", "unhealthy": "doctor", "starting": "status"}
    return next((f"schnitzel {step}" for state, step in steps.items() if state in states), "")


def _of_deployments(deployments: Sequence[Deployment]) -> str:
    worst_first = sorted(deployments, key=_urgency)
    if not worst_first or _urgency(worst_first[0]) == len(_STATES):
        return ""
    first = worst_first[0]
    if first["sync"] == "Paused":
        return deployment_command("deploy resume", first)
    step: str = first["next_step"] or ""
    verb, *flags = _STATES[first["state"]]
    if not step:
        return deployment_command(verb, first, *flags)
    return step if first["model"] in step else f"{label(first)}: {step}"


def _urgency(deployment: Deployment) -> int:
    states = list(_STATES)
    return states.index(deployment["state"]) if deployment["state"] in states else len(states)


def after_up(projects: Sequence[str]) -> str:
    """Choose the next step on a healthy platform that serves nothing yet."""
    return f"schnitzel train {quote(projects[0])}" if projects else "schnitzel project add FOLDER"
