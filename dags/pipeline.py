"""Build the Airflow DAG of a project: start_run, the steps by their needs, end_run."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param  # noqa: TID253 - this module makes Airflow's objects

from dags.errors import PipelineError
from dags.operator import EndRunOperator, StartRunOperator, StepOperator
from dags.project.definition import Project, Step
from dags.project.fields import ParamValue

TAG = "schnitzel"
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_START = datetime(2024, 1, 1, tzinfo=UTC)
"""A date before any run; with catchup off, it starts no run."""


def build_dag(project: Project, steps: Mapping[str, Step] | None = None) -> DAG:
    """Build a project's DAG; a dag.py may pass `steps` of its own in place of project.yaml's.

    The steps run between start_run and end_run, a setup and a teardown in Airflow's terms: the
    steps alone decide whether the DAG run succeeded, and clearing a step clears those two with it.
    """
    steps = project.steps if steps is None else steps
    with DAG(
        dag_id=project.name,
        description=project.description or None,
        schedule=project.schedule,
        start_date=_START,
        catchup=False,
        max_active_runs=project.max_active_runs,
        is_paused_upon_creation=False,
        default_args={"owner": project.owner, "retry_delay": timedelta(seconds=10)},
        params={name: _param(value) for name, value in project.params.items()},
        tags=sorted({TAG, f"model:{project.model}", *project.tags}),
        doc_md=_documentation(project, steps),
    ) as dag:
        start = StartRunOperator(task_id="start_run", project=project, retries=1)
        end = EndRunOperator(task_id="end_run", project=project, retries=3)
        tasks = {
            name: StepOperator(task_id=name, project=project, step=step)
            for name, step in steps.items()
        }
        needed = {need for step in steps.values() for need in step.needs}
        for name, step in steps.items():
            tasks[name].set_upstream([tasks[need] for need in step.needs] or start)
            if name not in needed:
                tasks[name].set_downstream(end)
        end.as_teardown(setups=start)
    return dag


def broken_dag(dag_id: str, error: PipelineError) -> DAG:
    """Build a DAG that stands in for a project whose own DAG cannot be built.

    The DAG stays in Airflow's list under its name, shows the error in its title, description and
    documentation, and its only task fails with the same message. One file makes the DAGs of all
    projects, so an import error in Airflow would stop every other project too.
    """
    with DAG(
        dag_id=dag_id,
        dag_display_name=f"{dag_id} (broken)",
        description=error.message,
        schedule=None,
        is_paused_upon_creation=False,
        tags=[TAG, "broken"],
        doc_md=f"### This project cannot run\n\n```text\n{error}\n```\n",
    ) as dag:
        _BrokenProjectOperator(task_id="check_project", error=error)
    return dag


class _BrokenProjectOperator(BaseOperator):  # type: ignore[misc]  # Airflow is Any to mypy
    """A task that fails with the project's error."""

    custom_operator_name = "Broken project"
    ui_color = "#fdecea"

    def __init__(self, *, error: PipelineError, **options: Any) -> None:
        super().__init__(do_xcom_push=False, **options)
        self.error = error

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        raise self.error


def _param(value: ParamValue) -> Param:
    """Build a parameter for Airflow's form, which accepts only values of the default's type."""
    return Param(value, type=_JSON_TYPES[type(value)])


def _documentation(project: Project, steps: Mapping[str, Step]) -> str:
    """Write the documentation on the DAG's page in Airflow."""
    lines = [f"### {project.name}", "", project.description, ""] if project.description else []
    lines += [
        f"Owner: {project.owner}. Registered model: `{project.model}`. Folder: `{project.folder}`.",
        "",
        "| step | command | needs | cluster | timeout | retries |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | `{step.command}` | {', '.join(step.needs) or '-'} | {step.cluster} "
        f"| {step.timeout} | {step.retries} |"
        for name, step in steps.items()
    ]
    if project.gate:
        gate = project.gate
        lines += ["", f"Gate: `{gate.metric}` at least {gate.floor}, and above production's."]
    if project.promotion:
        lines += ["", f"Promotes to {project.promotion.to}, when: {project.promotion.when}."]
    lines += ["", "Production is a person's act: `schnitzel model promote NAME@VERSION --to prod`."]
    if project.params:
        lines += ["", "Parameters:", "```json", json.dumps(project.params, indent=2), "```"]
    return "\n".join(lines)
