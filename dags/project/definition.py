"""Read and validate the project.yaml of a project; light enough for Airflow to parse."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from dags.errors import ProjectInvalid
from dags.project.fields import (
    ClusterName,
    Duration,
    ParamName,
    ParamValue,
    ProjectName,
    PromotedTo,
    Schedule,
    StepName,
)

FILE_NAME = "project.yaml"
RESERVED_STEPS = frozenset({"start_run", "end_run"})
"""The tasks that open and close the MLflow run of a DAG run."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Step(_Part):
    """One step: a command that runs as a process, with environment variables and nothing else."""

    command: Annotated[str, Field(min_length=1)]
    """What to run in the project's folder and environment; split as by a shell, but without one."""
    needs: tuple[StepName, ...] = ()
    """Steps that must succeed first; SCHNITZEL_INPUT_<STEP> is the URI of each one's output."""
    cluster: ClusterName = "local"
    """Where it runs."""
    timeout: Duration = timedelta(hours=1)
    """After this the step's processes are ended and it has failed."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often to try again after a failure, with an empty output folder each time."""


class Gate(_Part):
    """What a new version must reach to be promoted; the project's gate step measures it."""

    metric: Annotated[str, Field(min_length=1)]
    """Name of the metric, higher is better."""
    floor: float
    """The least value that is good enough, whatever is in production."""
    margin: float = 0.0
    """By more than this it must exceed production's value on the same data; below 0 forgives."""


class Promotion(_Part):
    """Where the pipeline may promote what it registered, and when."""

    to: PromotedTo = "staging"
    """The environment; production is never allowed here, it is a person's act."""
    when: Literal["gate", "always", "never"] = "gate"
    """`gate`: when the gate says yes."""


class Project(_Part):
    """A project: a folder with this file, its own dependencies, source, tests and serving.yaml."""

    name: ProjectName
    """Also the DAG's id and the MLflow experiment's name."""
    description: str = ""
    """One sentence for people."""
    owner: Annotated[str, Field(min_length=1)]
    """The person or team to ask."""
    model: Annotated[str, Field(max_length=256, pattern=r"^[^/:]*$")] = ""
    """Name of the registered model; the project's name if left out."""
    schedule: Schedule = None
    """A cron expression or a preset (@daily); left out: only when asked."""
    max_active_runs: Annotated[int, Field(ge=1, le=64)] = 1
    """How many runs may be under way together; with 1 they never overlap."""
    tags: tuple[str, ...] = ()
    """More tags for the DAG."""
    params: dict[ParamName, ParamValue] = {}
    """Parameters with their defaults; a run may be started with other values."""
    steps: Annotated[dict[StepName, Step], Field(min_length=1)]
    """The steps by name."""
    gate: Gate | None = None
    """What a version must reach."""
    promotion: Promotion | None = None
    """What the pipeline may promote; left out: nothing."""

    _folder: Path = PrivateAttr(default_factory=Path)

    @property
    def folder(self) -> Path:
        """The project's folder, absolute if it was loaded from one."""
        return self._folder

    @model_validator(mode="before")
    @classmethod
    def _model_is_named_like_the_project(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("model") and isinstance(data.get("name"), str):
            return {**data, "model": data["name"]}
        return data

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        problems = [*_problems_of_needs(self.steps)]
        if self.promotion and self.promotion.when == "gate" and self.gate is None:
            problems.append(("promotion.when", '"gate" needs a gate section'))
        if problems:
            raise ValueError(problems)
        return self


def _problems_of_needs(steps: dict[str, Step]) -> list[tuple[str, str]]:
    problems = [
        (f"steps.{name}", "the platform's own task has this name; choose another")
        for name in steps
        if name in RESERVED_STEPS
    ]
    for name, step in steps.items():
        for need in step.needs:
            if need not in steps:
                known = ", ".join(steps)
                problems.append(
                    (f"steps.{name}.needs", f'no step is named "{need}"; steps: {known}')
                )
    done: set[str] = set()
    while ready := {n for n, s in steps.items() if n not in done and done.issuperset(s.needs)}:
        done |= ready
    if not problems and (stuck := [name for name in steps if name not in done]):
        problems.append((f"steps.{stuck[0]}.needs", f"a circle of needs: {', '.join(stuck)}"))
    return problems


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that refuses a duplicate key instead of taking the last one."""


def _mapping_without_repetition(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise yaml.YAMLError(f'line {line}: the key "{key}" is written twice')
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repetition)


def load(folder: Path) -> Project:
    """Read and validate `folder`/project.yaml.

    Raises:
        ProjectInvalid: the file is missing, not YAML, or breaks the schema; names every field.
    """
    path = folder / FILE_NAME
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        hint = f"a project is a folder with a {FILE_NAME}; has it moved? schnitzel project list"
        raise ProjectInvalid(path, [("", "there is no such file")], hint) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectInvalid(path, [("", " ".join(str(error).split()))]) from error
    if not isinstance(data, dict):
        raise ProjectInvalid(path, [("", "it must be a mapping of fields, as in `name: angler`")])
    try:
        project = Project.model_validate(data)
    except ValidationError as error:
        raise ProjectInvalid(path, _problems(error)) from None
    project._folder = folder.resolve()
    return project


def _problems(error: ValidationError) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for detail in error.errors(include_url=False):
        raised = detail.get("ctx", {}).get("error")
        if isinstance(raised, ValueError) and raised.args and isinstance(raised.args[0], list):
            found.extend(raised.args[0])
            continue
        field = ".".join(str(part) for part in detail["loc"] if part != "[key]")
        if detail["type"] == "extra_forbidden":
            found.append((field, "there is no such field"))
        else:
            found.append((field, detail["msg"].removeprefix("Value error, ")))
    return found
