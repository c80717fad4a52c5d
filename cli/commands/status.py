"""Show every component and deployment on one screen, with the next step."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from cli.clients.all import Clients
from cli.config import current
from cli.errors import CommandError
from cli.shell.groups import command
from cli.shell.options import Output, resolve_format
from cli.tasks.projects import projects
from cli.views import deployments as views
from cli.views.components import components_table
from cli.views.next_step import next_step
from cli.views.output import bold, colour_state, emit


def status(output: Output = None) -> None:
    """The whole platform on one screen, with the next step.

    Examples:
    schnitzel status
    schnitzel status -o json
    """
    config = current()
    with ThreadPoolExecutor(max_workers=1) as pool:
        overview = pool.submit(_overview, Clients(config))
        from stack.components.status import (
            status as look,  # its import takes longer than the answer
        )

        urls = {name: config[f"{name}.url"] for name in ("deployer", "mlflow", "airflow")}
        seen = look(elsewhere={name: url.rstrip("/") for name, url in urls.items() if url})
        registry, deployments, problem = overview.result()
    names = [each["name"] for each in projects(config.home)]
    step = next_step(seen, registry, deployments, names)
    data = {
        "home": str(config.home),
        "components": [asdict(each) for each in seen],
        "registry": registry,
        "deployments": deployments,
        "projects": names,
        "next_step": step,
    }

    def shown() -> str:
        parts = [components_table(seen), ""]
        if registry and registry.get("state") != "Fresh":
            parts.append(
                f"{bold('registry')}  {colour_state(registry['state'])}  {registry['message']}"
            )
        if problem:
            parts.append(problem)
        else:
            parts.append(views.deployments(deployments))
        return "\n".join([*parts, "", f"{bold('next')}  {step}"])

    emit(data, resolve_format(output, config), shown)


def _overview(clients: Clients) -> tuple[dict[str, Any] | None, list[dict[str, Any]], str]:
    """Ask the Deployer; if it does not answer, say so instead."""
    try:
        found = clients.deployments.overview()
    except CommandError as error:
        return None, [], f"deployments are not known: {error}"
    return found.get("registry"), found["deployments"], ""


app = command(status)
