"""Make an Airflow DAG of each registered project, so that a broken project breaks no other.

The DAGs folder holds one file with `from dags.projects import register; register(globals())`.
Airflow parses that file again and again: this module imports nothing heavy and uses no network.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.sdk import DAG  # noqa: TID253 - this module finds Airflow's objects

from dags import places
from dags.errors import PipelineError, ProjectInvalid
from dags.pipeline import broken_dag, build_dag
from dags.project.definition import FILE_NAME, Project, load

DAG_FILE = "dag.py"


def register(namespace: dict[str, Any]) -> None:
    """Add the DAGs of each HOME/projects/*.json to the namespace of Airflow's DAG file."""
    for registration in sorted((places.home() / "projects").glob("*.json")):
        for dag in dags_of(registration):
            namespace[f"dag_{dag.dag_id}"] = dag


def register_folder(namespace: dict[str, Any], folder: Path) -> None:
    """Add the DAGs of each project in `folder`, whose folders bear the projects' names."""
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        for dag in _dags_in(path.parent.name, lambda path=path: path.parent):  # type: ignore[misc]
            namespace[f"dag_{dag.dag_id}"] = dag


def dags_of(registration: Path) -> list[DAG]:
    """Build the DAGs of a registered project, or the DAG that shows why it has none."""
    return _dags_in(registration.stem, lambda: _folder(registration))


def _dags_in(name: str, find: Callable[[], Path]) -> list[DAG]:
    try:
        folder = find()
        project = load(folder)
        if project.name != name:
            why = f'it says "{project.name}", but the project is registered as "{name}"'
            raise ProjectInvalid(folder / FILE_NAME, [("name", why)])
        return _own_dags(project) if (folder / DAG_FILE).exists() else [_generated(project)]
    except PipelineError as error:
        return [broken_dag(name, error)]


def _folder(registration: Path) -> Path:
    try:
        return Path(json.loads(registration.read_text())["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{registration}: {type(error).__name__}: {error}"
        raise PipelineError(why, "register it again: schnitzel project add FOLDER") from error


def _generated(project: Project) -> DAG:
    """Build the DAG of project.yaml; a refusal by Airflow becomes the project's error."""
    try:
        dag = build_dag(project)
        dag.validate()
    except Exception as error:  # Airflow raises many kinds, and no project may break another
        raise ProjectInvalid(project.folder / FILE_NAME, [("", str(error))]) from error
    return dag


def _own_dags(project: Project) -> list[DAG]:
    """Load the DAGs that the project's own dag.py makes.

    Raises:
        PipelineError: the file fails, makes no DAG of the project's name, or makes a DAG that is
            not named for the project.
    """
    path = project.folder / DAG_FILE
    hint = f"correct it, then run: schnitzel project check {project.folder}"
    spec = importlib.util.spec_from_file_location(f"schnitzel_project_{project.name}", path)
    assert spec is not None  # noqa: S101 - for the type checker: a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        dags = [value for value in vars(module).values() if isinstance(value, DAG)]
        for dag in dags:
            dag.validate()
            dag.check_cycle()
    except (Exception, SystemExit) as error:  # a project's file may raise anything
        raise PipelineError(f"{path}: {type(error).__name__}: {error}", hint) from error
    foreign = [
        dag.dag_id
        for dag in dags
        if dag.dag_id != project.name and not dag.dag_id.startswith(f"{project.name}.")
    ]
    if foreign:
        name = project.name
        why = f'a DAG is named "{foreign[0]}"; it must be "{name}" or "{name}.SOMETHING"'
        raise PipelineError(f"{path}: {why}", hint)
    if not any(dag.dag_id == project.name for dag in dags):
        raise PipelineError(f'{path}: it makes no DAG named "{project.name}"', hint)
    return dags
