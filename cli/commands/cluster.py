"""Check what each cluster lacks."""

import typer

from cli.clients.all import Clients
from cli.config import current
from cli.errors import FAILED
from cli.shell.groups import Command, group
from cli.shell.options import Output, resolve_format
from cli.views.output import colour_state, emit, say, table

SECONDS = 60.0

app = group()


@app.callback()
def _cluster() -> None:
    """The clusters that models are served on.

    Examples:
    schnitzel cluster check
    """


@app.command("check", cls=Command)
def check(output: Output = None) -> None:
    """Check each cluster for what the Deployer needs, and print the fixes.

    Looks at custom resources, permissions, the gateway, the registry and the artifacts, as the
    Deployer itself reaches them. Exits 1 if anything fails.

    Examples:
    schnitzel cluster check
    schnitzel cluster check -o json
    """
    config = current()
    found = Clients(config, timeout=SECONDS).deployments.clusters()
    rows = [(each["name"], one) for each in found for one in each["checks"]]

    def shown() -> str:
        if not rows:
            return "No environment is on a cluster."
        cells = [(name, one["name"], one["level"], one["message"]) for name, one in rows]
        return table(("CLUSTER", "CHECK", "RESULT", "WHAT WAS FOUND"), cells)

    emit({"clusters": found}, resolve_format(output, config), shown)
    failed = [one for _, one in rows if one["level"] == "fail"]
    for one in failed:
        if one["mend"]:
            say(f"{colour_state(one['level'])} {one['name']}: to fix it: {one['mend']}")
    if failed:
        raise typer.Exit(FAILED)
