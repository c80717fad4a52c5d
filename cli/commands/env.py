"""Nothing in; the environments models are promoted to out."""

from typing import Any

from cli.client import Clients
from cli.config import current
from cli.environments import environments
from cli.groups import Command, group
from cli.options import Output, chosen
from cli.output import emit, table

app = group()


@app.callback()
def _env() -> None:
    """The environments models are promoted to.

    Examples:
    schnitzel env list
    """


@app.command("list", cls=Command)
def list_(output: Output = None) -> None:
    """List the environments and what promotes a version to each.

    Examples:
    schnitzel env list
    schnitzel env list -o json
    """
    config = current()
    found = environments(Clients(config))

    def shown() -> str:
        keys = ("name", "stage", "alias", "target", "namespace")
        rows: list[list[Any]] = [[each.get(key) for key in keys] for each in found]
        return table([key.upper() for key in keys], rows)

    emit({"environments": found}, chosen(output, config), shown)
