"""Follow an upgrade of the platform, and halt it."""

from typing import Annotated

import typer

from cli.clients.all import Clients
from cli.config import current
from cli.errors import UsageError
from cli.shell.groups import Command, group
from cli.shell.options import Output, Timeout, resolve_format
from cli.tasks.upgrade import as_table, wait as wait_for
from cli.views.output import emit, say

app = group()


@app.callback()
def _platform() -> None:
    """The platform's own version: upgrade in batches, halt, resume.

    Examples:
    schnitzel platform upgrade --plan
    """


@app.command(cls=Command)
def upgrade(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the plan, and change nothing (the default)")
    ] = False,
    halt: Annotated[
        bool, typer.Option("--halt", help="Begin no further deployment until --resume")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume after a halt")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the upgrade is over")] = False,
    timeout: Timeout = 3600,
    output: Output = None,
) -> None:
    """Show the progress of a platform upgrade; halt or resume it.

    An upgrade begins automatically when the Deployer starts with another chart or server image, one
    batch after the other. A halt is kept over restarts: halt first to begin by your own command.

    With --wait, exits 0 when every deployment has moved, 1 when one fails or waits for an
    operator, 4 after --timeout.

    Examples:
    schnitzel platform upgrade --plan
    schnitzel platform upgrade --wait --timeout 1800
    schnitzel platform upgrade --halt
    schnitzel platform upgrade --resume --wait
    """
    if plan + halt + resume > 1:
        raise UsageError("--plan, --halt and --resume are three different things", "give one")
    config = current()
    deployments = Clients(config).deployments
    if halt or resume:
        found = deployments.halt_upgrade(halt=halt)
        say("upgrades are halted" if halt else "upgrades go on")
    else:
        found = deployments.upgrade()
    if wait:
        found = wait_for(deployments.upgrade, until_halted=halt, seconds=timeout)
    emit(found, resolve_format(output, config), lambda: as_table(found))
