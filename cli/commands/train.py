"""Start a project's training run, and follow it to the registered version."""

from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from cli.clients import deployments
from cli.clients.airflow import parameters
from cli.clients.all import Clients
from cli.clients.retry import with_retries
from cli.config import current
from cli.shell import completion
from cli.shell.groups import command
from cli.shell.options import Output, Timeout, resolve_format
from cli.tasks.projects import check, project as find_project
from cli.tasks.train import await_pipeline, follow, outcome_or_none, outcome_text
from cli.views.output import emit, say

READ_SECONDS = 120.0  # Airflow looks for new files twice a minute by default


def train(
    project: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT", help="A registered project", autocompletion=completion.projects
        ),
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--param", metavar="KEY=VALUE", help="A parameter of the run"),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and do not follow")] = False,
    timeout: Timeout = 3600,
    output: Output = None,
) -> None:
    """Run a project's training pipeline and follow it.

    Shows each step's state; then the metrics and the version that was registered.

    Examples:
    schnitzel train angler
    schnitzel train angler -p epochs=5 -p seed=7
    schnitzel train angler --detach
    """
    conf = parameters(parameter or [])
    config = current()
    clients = Clients(config)
    if clients.runs_airflow:  # somebody else's Airflow has its projects in its own way
        check(Path(find_project(config.home, project)["path"]))
    pipelines = clients.pipelines
    await_pipeline(pipelines, project, min(timeout, READ_SECONDS))
    run_id = f"manual__{datetime.now(UTC):%Y-%m-%dT%H%M%S.%f}"
    run = with_retries(pipelines.trigger, say, answered=True)(project, run_id, conf)
    say(f"started {project}/{run_id}")
    data = {"project": project, "run": run_id, "state": run["state"]}
    if detach:
        say(f"next: schnitzel run show {quote(f'{project}/{run_id}')}")
        emit(data, resolve_format(output, config), lambda: f"{project}/{run_id}")
        return
    run = follow(pipelines, project, run_id, timeout)
    found = outcome_or_none(clients, project, run_id)
    emit(
        {**data, "state": run["state"], **found},
        resolve_format(output, config),
        lambda: outcome_text(found),
    )
    for version in found["versions"]:
        which = f"{version['name']}@{version['version']}"
        say(f"next: {deployments.command('model promote', which, '--to', 'prod')}")


app = command(train)
