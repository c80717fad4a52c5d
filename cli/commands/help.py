"""A topic or a command's name in, its text out."""

from typing import Annotated

import typer

from cli.errors import MEANINGS, unknown
from cli.shell.groups import command, load
from cli.shell.table import ENTRIES
from cli.views.output import bold, table, write

TOPICS = ("exit-codes", "environment")

_VARIABLES = (
    ("SCHNITZEL_HOME", "where the platform lives (default ~/.local/state/schnitzel)"),
    ("SCHNITZEL_CACHE", "downloads and model environments (default ~/.cache/schnitzel)"),
    ("SCHNITZEL_TOKEN", "the Deployer's API token, instead of the one in the home"),
    ("SCHNITZEL_ENVIRONMENT", "the environment when no -e says which"),
    ("SCHNITZEL_OUTPUT", "table, json or yaml when no -o says which"),
    ("SCHNITZEL_<SECTION>__<FIELD>", "a setting of platform.yaml, as SCHNITZEL_MLFLOW__URL"),
    ("MLFLOW_TRACKING_USERNAME", "and MLFLOW_TRACKING_PASSWORD: how to log in to MLflow"),
    ("NO_COLOR", "no colour"),
)


def help_(
    ctx: typer.Context,
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help=f"A command, or one of: {', '.join(TOPICS)}"),
    ] = None,
) -> None:
    """Read about a command or a topic such as exit-codes.

    Examples:
    schnitzel help exit-codes
    schnitzel help train
    """
    root = ctx.find_root()
    if topic is None:
        write(root.get_help())
    elif topic == "exit-codes":
        write(table(("CODE", "MEANING"), [(code, text) for code, text in MEANINGS.items()]))
    elif topic == "environment":
        write(bold("Environment variables") + "\n" + table(("NAME", "MEANING"), _VARIABLES))
    elif topic in ENTRIES:
        found = load(topic)
        write(found.get_help(found.context_class(found, info_name=topic, parent=root)))
    else:
        raise unknown("command or topic", topic, [*ENTRIES, *TOPICS], "see: schnitzel --help")


app = command(help_)
