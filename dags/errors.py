"""Define the errors of projects and their pipelines, each with the next step."""

from pathlib import Path


class PipelineError(Exception):
    """A failure of a project or its pipeline; `hint` names the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n\nhint: {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ProjectInvalid(PipelineError):  # noqa: N818 - names the project's state
    """A project's file is unreadable or invalid; the message lists every problem.

    `problems` are pairs: a field (`steps.train.timeout`, empty for the whole file) and a sentence.
    """

    def __init__(self, path: Path, problems: list[tuple[str, str]], hint: str = "") -> None:
        lines = [
            f"{path}: {field}: {why}" if field else f"{path}: {why}" for field, why in problems
        ]
        super().__init__(
            "\n".join(lines), hint or f"correct it, then run: schnitzel project check {path.parent}"
        )
        self.path = path
        self.problems = problems


class ProjectEnvironmentFailed(PipelineError):  # noqa: N818 - names an event
    """The project's Python environment failed to build; the message ends with uv's last lines."""


class StepFailed(PipelineError):  # noqa: N818 - names an event
    """A step's command did not end with 0; the message ends with its last lines."""


class TrackingFailed(PipelineError):  # noqa: N818 - names an event
    """MLflow did not answer, or refused a request."""
