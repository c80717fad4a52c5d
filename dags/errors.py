"""What can go wrong with a project and its pipeline, as errors; each hints at the next step."""

from pathlib import Path


class PipelineError(Exception):
    """Something about a project or its pipeline failed; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n\nhint: {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ProjectInvalid(PipelineError):  # noqa: N818 - it names what the project is
    """A project's file cannot be read or says something that it may not; every problem is listed.

    `problems` are pairs: a field (`steps.train.timeout`, empty for the whole file) and a sentence.
    """

    def __init__(self, path: Path, problems: list[tuple[str, str]], hint: str = "") -> None:
        lines = [
            f"{path}: {field}: {why}" if field else f"{path}: {why}" for field, why in problems
        ]
        super().__init__(
            "\n".join(lines), hint or f"mend it, then run: schnitzel project check {path.parent}"
        )
        self.path = path
        self.problems = problems


class ProjectEnvironmentFailed(PipelineError):  # noqa: N818 - named for what happened
    """The project's environment could not be built; the message ends with uv's last lines."""


class StepFailed(PipelineError):  # noqa: N818 - named for what happened
    """A step's command did not end with 0; the message ends with its last lines."""


class TrackingFailed(PipelineError):  # noqa: N818 - named for what happened
    """MLflow did not answer, or refused what was asked."""
