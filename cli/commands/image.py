"""List the Python environments that were built, and remove unused ones."""

import typer

from cli.clients.all import Clients
from cli.config import current
from cli.errors import FAILED
from cli.shell.groups import Command, group
from cli.shell.options import DryRun, Output, Timeout, Yes, resolve_format
from cli.tasks import images
from cli.views.output import confirm, emit, say

SECONDS = 60.0

app = group()


@app.callback()
def _image() -> None:
    """Python environments built for models; remove unused ones.

    Examples:
    schnitzel image list
    schnitzel image collect --dry-run
    """


@app.command("list", cls=Command)
def list_(output: Output = None) -> None:
    """List the Python environments that were built, and what needs each of them.

    Examples:
    schnitzel image list
    schnitzel image list -o json
    """
    config = current()
    places = images.wait_for_usage(Clients(config, timeout=SECONDS).deployments, SECONDS)
    emit({"places": places}, resolve_format(output, config), lambda: images.as_table(places))


@app.command(cls=Command)
def collect(
    dry_run: DryRun = False, yes: Yes = False, timeout: Timeout = 600, output: Output = None
) -> None:
    """Remove Python environments that nothing needs or has used for policy.collect_after.

    Keeps the environments of predictors that serve, roll out or drain, of promoted versions, and
    of the version that a rollback returns to. A removed one can be built again from its lock.

    Examples:
    schnitzel image collect --dry-run
    schnitzel image collect --yes
    """
    config = current()
    deployments = Clients(config, timeout=SECONDS).deployments
    places = images.wait_for_usage(deployments, SECONDS)
    going = images.collectable(places)
    if not going or dry_run:
        emit({"places": places}, resolve_format(output, config), lambda: images.as_table(places))
        say(f"would be removed: {len(going)}" if going else "nothing may be collected")
        return
    say(images.as_table(places))
    total = images.size(sum(each["bytes"] or 0 for each in going))
    confirm(f"Remove {len(going)} environments, {total}?", yes=yes)
    deployments.collect_images([each["name"] for each in going])
    places = images.wait(deployments, timeout)
    ended = [place["collection"] for place in places if place["collection"]]
    emit({"places": places}, resolve_format(output, config), str)
    say(f"removed: {sum(len(each['removed']) for each in ended)}")
    for each in ended:
        for stayed in each["kept"]:
            say(f"kept {stayed['name'][: images.SHORT]}: {stayed['why']}")
    failed = [each for each in ended if each["message"]]
    for each in failed:
        say(f"error: {each['message']}\n\nhint: {each['hint']}")
    if failed:
        raise typer.Exit(FAILED)
