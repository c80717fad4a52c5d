"""Run a project's steps as processes from Airflow tasks, inside a shared MLflow run."""

import os
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253 - an operator is a class of Airflow's
from airflow.sdk.exceptions import AirflowSkipException  # noqa: TID253 - how a task says "skipped"

from dags import places, runs
from dags.clusters.known import CLUSTERS
from dags.errors import StepFailed, TrackingFailed
from dags.process import Process
from dags.project.definition import Project, Step
from dags.project.variables import StepRun, step_variables

if TYPE_CHECKING:
    from airflow.sdk import Context

SKIPPED_EXIT_CODE = 99
"""The exit code of a skipped step, whose last line says why (as in Airflow's BashOperator)."""

_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


class ProjectOperator(BaseOperator):  # type: ignore[misc]  # Airflow is Any to mypy
    """A task of a project's DAG; the base of the three kinds below."""

    def __init__(self, *, project: Project, **options: Any) -> None:
        super().__init__(do_xcom_push=False, **options)
        self.project = project

    def _say(self, line: str) -> None:
        self.log.info("%s", line)


class StepOperator(ProjectOperator):
    """A task that runs a step's command as a process with environment variables and nothing else.

    Args:
        project: the validated project, see `dags.project.definition.load`.
        step: command, needs, cluster, timeout and retries; the task's id is the step's name.
        options: any options of BaseOperator; they win over the step's own.

    Every line of the command goes to the task's log as it comes. Raises StepFailed with the
    command, its exit code and last lines; exit code 99 skips the following steps, and the last
    line says why.
    """

    custom_operator_name = "Step"
    ui_color = "#e8f1fb"

    def __init__(self, *, project: Project, step: Step, **options: Any) -> None:
        defaults = {"execution_timeout": step.timeout, "retries": step.retries}
        super().__init__(project=project, **{**defaults, **options})
        self.step = step
        self._process: Process | None = None
        self._killed = False

    def execute(self, context: "Context") -> None:
        """Run the step's command to its end."""
        folder = places.run_folder(self.dag_id, context["run_id"])
        record = runs.opened(folder)
        runs.fresh_output(folder, self.task_id)
        variables = step_variables(
            self.project,
            StepRun(
                step=self.task_id,
                needs=self.step.needs,
                dag_run_id=context["run_id"],
                folder=folder,
                mlflow_run_id=record.mlflow_run_id,
                git_commit=record.git_commit,
                params=dict(context["params"]),
            ),
        )
        _mask_secrets()
        launch = CLUSTERS[self.step.cluster].launch(
            self.project.folder, self.step.command, variables, self._say
        )
        self._say(f"{self.step.cluster}: {self.step.command}")
        with Process(
            launch.command, environment=launch.environment, directory=launch.directory
        ) as self._process:
            if self._killed:  # on_kill ran before the process existed
                self._process.stop()
            ended = self._process.follow(self._say)
        if ended.exit_code in {0, SKIPPED_EXIT_CODE} and not self._killed:
            self._keep_open(record.mlflow_run_id)
        if ended.exit_code == SKIPPED_EXIT_CODE and not self._killed:
            raise AirflowSkipException(
                ended.last_lines.rpartition("\n")[2] or "the step asked for it"
            )
        if ended.exit_code or self._killed:
            raise StepFailed(self._failure(ended.exit_code, ended.last_lines), self._hint(folder))

    def on_kill(self) -> None:
        """End the step's processes; Airflow calls this on a timeout and when it stops the task."""
        self._killed = True
        if self._process is not None:
            self._process.stop()

    def _keep_open(self, mlflow_run_id: str) -> None:
        """Reopen the MLflow run, which MLflow's client ended with the step's process.

        Not called after a failure or a kill: end_run may have closed the run for good by then.
        """
        from dags.tracking import Tracking

        try:
            with Tracking() as tracking:
                tracking.reopen_run(mlflow_run_id)
        except TrackingFailed as error:  # the step's work is done; end_run closes the run anyway
            self.log.warning("%s", error.message)

    def _failure(self, exit_code: int, last_lines: str) -> str:
        how = f"ended with exit code {exit_code}"
        if self._killed:
            how = "was stopped"
        elif exit_code > 128:
            how = f"was ended by signal {exit_code - 128}"
            how += " (SIGKILL: out of memory?)" if exit_code == 137 else ""
        output = f"; its last lines:\n{last_lines}" if last_lines else ", without output"
        return f"step {self.task_id}: `{self.step.command}` {how}{output}"

    def _hint(self, folder: Any) -> str:
        return (
            f"correct it in {shlex.quote(str(self.project.folder))}, then clear this task or start "
            f"again: schnitzel train {self.project.name} (outputs of this run: {folder})"
        )


class StartRunOperator(ProjectOperator):
    """A task that prepares the clusters and opens the MLflow run that all steps share.

    A second execution for the same DAG run (a cleared task) continues the same MLflow run.
    """

    custom_operator_name = "MLflow run"
    ui_color = "#eef7ee"

    def execute(self, context: "Context") -> None:
        """Prepare the clusters, then open the run."""
        from dags.tracking import Tracking

        dag_run_id = context["run_id"]
        for cluster in sorted({step.cluster for step in self.project.steps.values()}):
            CLUSTERS[cluster].prepare(self.project.folder, self._say)
        folder = places.run_folder(self.dag_id, dag_run_id)
        commit = runs.git_commit(self.project.folder, os.environ)
        before = runs.read(folder)
        _mask_secrets()
        with Tracking() as tracking:
            if before is not None and tracking.reopen_run(before.mlflow_run_id):
                run_id = before.mlflow_run_id
            else:
                tags = {
                    "mlflow.user": self.project.owner,
                    "mlflow.source.name": self.project.name,
                    "mlflow.source.type": "PROJECT",
                    "mlflow.source.git.commit": commit.removesuffix("-dirty"),
                    "schnitzel.project": self.project.name,
                    "schnitzel.dag_run": dag_run_id,
                    "schnitzel.git_commit": commit,
                }
                params = {name: str(value) for name, value in context["params"].items()}
                experiment = tracking.experiment(self.project.name)
                run_id = tracking.create_run(experiment, dag_run_id, tags, params)
            self._say(f"MLflow run {run_id} of experiment {self.project.name} at {tracking.url}")
        runs.write(folder, runs.RunRecord(mlflow_run_id=run_id, git_commit=commit))


class EndRunOperator(ProjectOperator):
    """A task that closes the MLflow run after the steps: FINISHED, or FAILED if a step failed."""

    custom_operator_name = "MLflow run"
    ui_color = "#eef7ee"

    def execute(self, context: "Context") -> None:
        """Close the run according to the states of the other tasks."""
        from dags.tracking import Tracking

        dag_run_id = context["run_id"]
        record = runs.opened(places.run_folder(self.dag_id, dag_run_id))
        states = _task_states(context["ti"].get_task_states, self.dag_id, dag_run_id)
        failed = sorted(
            task for task, state in states.items() if state in {"failed", "upstream_failed"}
        )
        _mask_secrets()
        with Tracking() as tracking:
            tracking.end_run(record.mlflow_run_id, "FAILED" if failed else "FINISHED")
        self._say(f"failed: {', '.join(failed)}" if failed else "every step is done")


def _task_states(ask: Callable[..., Any], dag_id: str, dag_run_id: str) -> dict[str, str | None]:
    """Read the state of each task of the DAG run from Airflow's answer, keyed by run id."""
    states: dict[str, str | None] = ask(dag_id=dag_id, run_ids=[dag_run_id]).get(dag_run_id, {})
    return states


def _mask_secrets() -> None:
    """Make Airflow mask MLflow's credentials in task logs."""
    from airflow.sdk.log import mask_secret

    for name in _SECRETS:
        if value := os.environ.get(name):
            mask_secret(value, name)
