"""Show training runs: steps, metrics and logs."""

from shlex import quote
from typing import Annotated, Any

import typer

from cli.clients.airflow import Pipelines, Run
from cli.clients.all import Clients
from cli.clients.http import Refused
from cli.config import current
from cli.errors import UsageError, unknown
from cli.shell import completion
from cli.shell.groups import Command, group
from cli.shell.options import Output, resolve_format
from cli.tasks.train import outcome_or_none, outcome_text, steps_table, without_bookkeeping
from cli.views import deployments
from cli.views.output import bold, emit, fields, say, table, write

app = group()

RunName = Annotated[
    str,
    typer.Argument(
        metavar="PROJECT[/RUN]",
        help="A run; without /RUN the newest",
        autocompletion=completion.projects,
    ),
]


@app.callback()
def _run() -> None:
    """Inspect training runs.

    Examples:
    schnitzel run list
    schnitzel run show angler
    schnitzel run logs angler train
    """


@app.command("list", cls=Command)
def list_(
    project: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROJECT]", help="Of this project only", autocompletion=completion.projects
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many")] = 20,
    output: Output = None,
) -> None:
    """List training runs, newest first.

    Examples:
    schnitzel run list
    schnitzel run list angler --limit 5 -o json
    """
    config = current()
    found = [_plain(each) for each in Clients(config).pipelines.runs(project, limit)]
    if not found:
        name = quote(project) if project else "PROJECT"
        say(f"no runs yet; start one with: schnitzel train {name}")
    emit(
        {"runs": found},
        resolve_format(output, config),
        lambda: (
            table(
                ("RUN", "STATE", "STARTED", "DURATION"),
                [
                    (
                        f"{each['project']}/{each['run']}",
                        each["state"],
                        f"{deployments.age(each['started'])} ago" if each["started"] else "",
                        deployments.duration(each["seconds"]) if each["seconds"] else "",
                    )
                    for each in found
                ],
            )
            if found
            else ""
        ),
    )


@app.command(cls=Command)
def show(run: RunName, output: Output = None) -> None:
    """Show a run's steps, metrics and registered version.

    Examples:
    schnitzel run show angler
    schnitzel run show angler -o json
    """
    config = current()
    clients = Clients(config)
    found = _find(clients.pipelines, run)
    name, run_id = found["dag_id"], found["dag_run_id"]
    steps = without_bookkeeping(clients.pipelines.steps(name, run_id))
    made = outcome_or_none(clients, name, run_id)
    data = {**_plain(found), "steps": [_step(each) for each in steps], **made}

    def shown() -> str:
        head = fields(
            [
                ("state", data["state"]),
                ("started", data["started"]),
                ("parameters", data["parameters"] or None),
                ("mlflow run", made["mlflow_run"] and made["mlflow_run"]["run_id"]),
            ]
        )
        parts = [bold(f"{name}/{run_id}"), head, "", steps_table(steps)]
        more = outcome_text(made)
        return "\n".join([*parts, "", more] if more else parts)

    emit(data, resolve_format(output, config), shown)


@app.command(cls=Command)
def logs(
    run: RunName,
    step: Annotated[
        str | None,
        typer.Argument(metavar="[STEP]", help="A step; without it the failed or the last one"),
    ] = None,
) -> None:
    """Print a step's log.

    Examples:
    schnitzel run logs angler
    schnitzel run logs angler evaluate
    """
    pipelines = Clients(current()).pipelines
    found = _find(pipelines, run)
    name, run_id = found["dag_id"], found["dag_run_id"]
    steps = {each["task_id"]: each for each in pipelines.steps(name, run_id)}
    chosen_step = step or _telling(list(steps.values()))
    if chosen_step not in steps:
        there = f"it has: {', '.join(steps)}"
        raise unknown(f"step in {name}", chosen_step or "", steps, there)
    say(f"{name}/{run_id} {chosen_step}")
    for line in pipelines.log(name, run_id, steps[chosen_step]):
        write(line)


def _find(pipelines: Pipelines, given: str) -> Run:
    """Find a run by PROJECT/RUN, or a project's newest."""
    name, _, run_id = given.partition("/")
    if run_id:
        try:
            return pipelines.run(name, run_id)
        except Refused as error:
            if error.status != 404:
                raise
            raise UsageError(
                f"there is no run {run_id!r} of {name}", f"see: schnitzel run list {quote(name)}"
            ) from None
    newest = pipelines.runs(name, 1)
    if not newest:
        raise UsageError(f"{name} has no runs", f"start one with: schnitzel train {quote(name)}")
    return newest[0]


def _telling(steps: list[dict[str, Any]]) -> str | None:
    """Choose the step that a person most likely asks about."""
    started = [each for each in without_bookkeeping(steps) if each.get("start_date")]
    failed = [each for each in started if each["state"] == "failed"]
    chosen_steps = failed[:1] or started[-1:]
    return chosen_steps[0]["task_id"] if chosen_steps else None


def _plain(run: Run) -> dict[str, Any]:
    return {
        "project": run["dag_id"],
        "run": run["dag_run_id"],
        "state": run["state"],
        "started": run.get("start_date"),
        "ended": run.get("end_date"),
        "seconds": run.get("duration"),
        "by": run.get("triggering_user_name"),
        "parameters": run.get("conf") or {},
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": step["task_id"],
        "state": step["state"],
        "started": step.get("start_date"),
        "seconds": step.get("duration"),
        "try": step.get("try_number"),
    }
