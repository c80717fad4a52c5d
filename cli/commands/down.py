"""Stop the local platform, model servers too."""

from typing import Annotated

import typer

from cli.config import current
from cli.shell.groups import command
from cli.shell.options import Output, Yes, resolve_format
from cli.views.output import confirm, emit, say


def down(
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Delete runs, models and history, too; asks first"),
    ] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Stop the local platform; data stays.

    Model servers stop, too; the next `schnitzel up` serves again what was served.

    Examples:
    schnitzel down
    schnitzel down --delete-data
    """
    from stack import platform

    config = current()
    if delete_data:
        confirm(f"Delete every run, model and record in {config.home}?", yes=yes)
    stopped = platform.down(delete_data=delete_data)
    say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    say(f"deleted the data in {config.home}" if delete_data else f"data stays in {config.home}")
    emit({"stopped": stopped, "deleted_data": delete_data}, resolve_format(output, config), str)


app = command(down)
