"""List the environments that models are promoted to."""

from typing import Any

from cli.clients.all import Clients
from cli.config import current
from cli.shell.groups import Command, group
from cli.shell.options import Output, resolve_format
from cli.tasks.environments import Environment, environments
from cli.views.output import emit, table

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
        keys = ("name", "stage", "alias", "target")
        rows: list[list[Any]] = [[*map(each.get, keys), _namespace(each)] for each in found]
        return table([*(key.upper() for key in keys), "NAMESPACE"], rows)

    emit({"environments": found}, resolve_format(output, config), shown)


def _namespace(environment: Environment) -> str:
    """Where its models run on a cluster; what stands for the project is left as it is."""
    if environment["target"] != "kubernetes":
        return ""
    return (environment.get("namespace") or "").replace("{environment}", environment["name"])
