"""Follow a pipeline run: the live state of its steps, and its outcome."""

from __future__ import annotations

import time
from shlex import quote
from typing import TYPE_CHECKING, Any

from cli.clients.airflow import ENDED, Pipelines
from cli.clients.retry import with_retries
from cli.errors import CommandError, Unreachable, WaitTimedOut
from cli.views.deployments import duration
from cli.views.live import Board
from cli.views.output import bold, colour_state, fields, say, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.clients.airflow import Run, Step
    from cli.clients.all import Clients

POLL_SECONDS = 1.0
AROUND = ("start_run", "end_run")  # tasks that every pipeline adds around the project's steps
LAST_LINES = 15
BROKEN = "broken"  # the tag of a pipeline that stands in for a project that cannot be read


def await_pipeline(pipelines: Pipelines, name: str, seconds: float) -> None:
    """Wait until Airflow has read a project's pipeline, which takes a while after `project add`.

    Raises:
        CommandError: Airflow cannot read the pipeline.
        WaitTimedOut: the deadline passed.
    """
    deadline = time.monotonic() + seconds
    announced = False
    look, problems_of = (
        with_retries(pipelines.pipeline, say),
        with_retries(pipelines.import_errors, say),
    )
    while True:
        pipeline = look(name)
        broken = pipeline is not None and BROKEN in (tag["name"] for tag in pipeline["tags"])
        if pipeline is not None and not broken:
            return
        problems = [text for text in problems_of() if name in text]
        if problems:
            raise CommandError(
                f"Airflow cannot read the pipeline of {name}:\n{problems[0].strip()}",
                "check the project: schnitzel project check FOLDER",
            )
        if time.monotonic() > deadline:
            if pipeline is not None:
                raise CommandError(str(pipeline["description"]), "correct it, then train again")
            raise WaitTimedOut(
                f"Airflow has not read the pipeline of {name} within {seconds:g} s",
                "see whether Airflow is healthy: schnitzel status",
            )
        if not announced:
            say(f"Airflow has not read the pipeline of {name} yet; waiting")
            announced = True
        time.sleep(POLL_SECONDS)


def follow(pipelines: Pipelines, name: str, run_id: str, seconds: float) -> Run:
    """Show the state of a run's steps until the run ends.

    Raises:
        CommandError: the run failed; the failed step's last log lines were shown.
        WaitTimedOut: the deadline passed; the run goes on.
    """
    began = time.monotonic()
    with Board() as board:
        look = with_retries(
            lambda: (pipelines.run(name, run_id), pipelines.steps(name, run_id)),
            lambda text: board.line("service", text),
            answered=True,
        )
        while True:
            run, steps = look()
            for step in without_bookkeeping(steps):
                _show(board, step)
            if run["state"] in ENDED:
                break
            if time.monotonic() - began > seconds:
                raise WaitTimedOut(
                    f"{name} is still {run['state']} after {seconds:g} s; it goes on",
                    f"see: schnitzel run show {quote(f'{name}/{run_id}')}",
                )
            time.sleep(POLL_SECONDS)
    if run["state"] == "failed":
        raise _failure(pipelines, name, run_id)
    return run


def without_bookkeeping(steps: Iterable[Step]) -> list[Step]:
    """Drop the tasks around the steps, unless they failed."""
    return [each for each in steps if each["task_id"] not in AROUND or each["state"] == "failed"]


def outcome(clients: Clients, name: str, run_id: str) -> dict[str, Any]:
    """Collect the outcome of a run: its MLflow run with metrics, and the registered versions."""
    run = clients.registry.trained_by(name, run_id)
    versions = clients.registry.registered_by(run_id)
    return {
        "mlflow_run": run,
        "versions": [
            {
                "name": each["name"],
                "version": each["version"],
                "tags": {tag["key"]: tag["value"] for tag in each.get("tags", [])},
            }
            for each in versions
        ],
    }


def outcome_or_none(clients: Clients, name: str, run_id: str) -> dict[str, Any]:
    """Collect the outcome of a run, or warn that MLflow does not answer."""
    try:
        return outcome(clients, name, run_id)
    except Unreachable as error:
        say(f"warning: {error}")
        return {"mlflow_run": None, "versions": []}


def steps_table(steps: list[Step]) -> str:
    """Draw steps with state, duration and try."""
    return table(
        ("STEP", "STATE", "DURATION", "TRY"),
        [
            (
                each["task_id"],
                each["state"] or "waiting",
                duration(each["duration"]) if each.get("duration") else "",
                each.get("try_number") or "",
            )
            for each in steps
        ],
    )


def outcome_text(found: dict[str, Any]) -> str:
    """Draw the metrics and the registered versions."""
    parts = []
    run = found["mlflow_run"]
    if run and run["metrics"]:
        metrics = [(key, _number(value)) for key, value in sorted(run["metrics"].items())]
        parts += [bold("metrics"), fields(metrics)]
    for each in found["versions"]:
        parts.append(f"registered {each['name']} version {each['version']}")
        if each["tags"].get("schnitzel.gate"):
            reason = each["tags"].get("schnitzel.gate_reason", "")
            parts.append(f"gate {each['tags']['schnitzel.gate']}: {reason}")
    return "\n".join(parts)


def _show(board: Board, step: Step) -> None:
    state = step["state"] or "waiting"
    name = step["task_id"]
    if state == "waiting" and not board.redraws:
        return
    took = step.get("duration")
    done = f"  {duration(took)}" if took and state in ("success", "failed") else ""
    board.line(name, f"{name:<20} {colour_state(state)}{done}")


def _failure(pipelines: Pipelines, name: str, run_id: str) -> CommandError:
    failed = [each for each in pipelines.steps(name, run_id) if each["state"] == "failed"]
    if not failed:
        which = quote(f"{name}/{run_id}")
        return CommandError(f"{name} failed", f"see: schnitzel run show {which}")
    step = failed[0]
    lines = list(pipelines.log(name, run_id, step))[-LAST_LINES:]
    if lines:
        say(f"\nlast log lines of {step['task_id']}:")
        for line in lines:
            say(f"  {line}")
        say()
    return CommandError(
        f"{name} failed in its step {step['task_id']}",
        f"read it all: schnitzel run logs {quote(f'{name}/{run_id}')} {step['task_id']}",
    )


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
