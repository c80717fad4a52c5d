"""Define the options that several commands share, and their defaults."""

from typing import Annotated

import typer

from cli.config import Config
from cli.errors import UsageError
from cli.shell import completion
from cli.views.output import Format

Output = Annotated[
    Format | None,
    typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml"),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL[@ENV]",
        help="A model, as in angler@prod",
        autocompletion=completion.deployments,
    ),
]
OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL[@ENV]]",
        help="A model, as in angler@prod",
        autocompletion=completion.deployments,
    ),
]

ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if changes are pending")]
Environment = Annotated[
    str | None,
    typer.Option(
        "-e",
        "--environment",
        metavar="ENV",
        help="An environment, as in prod",
        autocompletion=completion.environments,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and change nothing")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="Stop waiting after this long; exit 4")
]


def resolve_format(form: Format | None, config: Config) -> Format:
    """Resolve the output format: the flag, else the setting.

    Raises:
        UsageError: the setting names no format.
    """
    if form is not None:
        return form
    try:
        return Format(config["output"] or "table")
    except ValueError:
        origin = config.settings["output"].origin
        raise UsageError(
            f"{origin} says output = {config['output']!r}", "it can be table, json or yaml"
        ) from None
