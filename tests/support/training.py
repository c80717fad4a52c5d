"""Make a version of a project of examples/ by the project's own pipeline.

Its steps run as Airflow's tasks start them: the same command, variables and environment, one after
the other.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

from dags import runs
from dags.clusters.known import CLUSTERS
from dags.process import run
from dags.project.definition import load
from dags.project.variables import StepRun, step_variables
from dags.tracking import Tracking


def train(project: Path, url: str, model: str, folder: Path) -> None:
    """Train, register as `model`, judge, and promote as project.yaml says.

    Args:
        project: the folder with project.yaml.
        url: MLflow's.
        model: the registered model's name, in place of the project's own.
        folder: for what steps hand to one another.
    """
    made = load(project).model_copy(update={"model": model})
    place = CLUSTERS["local"]
    place.prepare(made.folder, print)
    order = TopologicalSorter({name: step.needs for name, step in made.steps.items()})
    with Tracking(url) as tracking:
        run_id = tracking.create_run(tracking.experiment(model), model, {}, {})
        for name in order.static_order():
            step = made.steps[name]
            runs.fresh_output(folder, name)
            about = StepRun(name, step.needs, model, folder, run_id, "", made.params)
            variables = step_variables(made, about) | {"MLFLOW_TRACKING_URI": url}
            launch = place.launch(made.folder, step.command, variables, print)
            ended = run(
                launch.command,
                environment=launch.environment,
                directory=launch.directory,
                log=print,
            )
            assert ended.exit_code == 0, f"{step.command}: {ended.last_lines}"
            tracking.reopen_run(run_id)
        tracking.end_run(run_id, "FINISHED")
