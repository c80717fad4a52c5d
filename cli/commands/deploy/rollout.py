"""Follow a rollout, let it go on, or end it: commands of the group `deploy`."""

import time
from typing import Annotated

import typer

from cli.clients.all import Clients
from cli.clients.deployments import Deployment, deployment_command, label
from cli.config import current
from cli.shell.groups import Command
from cli.shell.options import Environment, Model, Output, resolve_format
from cli.tasks import select
from cli.views import deployments, rollout as views
from cli.views.output import emit, say, write

WATCH_SECONDS = 2.0


def add(app: typer.Typer) -> None:
    """Add the commands to their group."""
    for command in (rollout, advance, promote_now, abort, evidence):
        app.command(cls=Command)(command)


def rollout(
    model: Model,
    environment: Environment = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again at each change, until it ends")
    ] = False,
    output: Output = None,
) -> None:
    """Show the rollout under way: its steps, and what the new version has shown so far.

    Examples:
    schnitzel deploy rollout angler@prod
    schnitzel deploy rollout angler@prod --watch
    """
    clients = Clients(current())
    found = select.one(clients, model, environment)
    if not watch:
        emit(found, resolve_format(output, clients.config), lambda: views.rollout(found))
        return
    shown = ""
    while True:
        text = views.rollout(found)
        if text != shown:
            write(f"{text}\n")
            shown = text
        if found["rollout"] is None:
            return
        time.sleep(WATCH_SECONDS)
        found = clients.deployments.get(found["id"])


def advance(model: Model, environment: Environment = None, output: Output = None) -> None:
    """Let a rollout leave a step that waits for an operator; evidence still counts.

    Once the new version has all of the traffic, the old one is no longer kept for a return.

    Examples:
    schnitzel deploy advance angler@prod
    """
    clients = Clients(current())
    found = select.one(clients, model, environment)
    if found["rollout"] is None:
        _nothing(found, output, clients)
        return
    bake = found["rollout"]["bake"]
    after = clients.deployments.advance(found["id"], found["rollout"]["candidate"])
    done = f"version {bake['version']} is not kept any more" if bake else "may leave its step"
    deployments.changed(after, done, resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy rollout', after)}")


def promote_now(
    model: Model,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the history")],
    environment: Environment = None,
    output: Output = None,
) -> None:
    """Give the new version all of the traffic without the steps that are left.

    It still has to be ready and to answer its example; a harm that is shown still takes it back.

    Examples:
    schnitzel deploy promote-now angler@prod --reason "the old one is wrong, see the incident"
    """
    clients = Clients(current())
    found = select.one(clients, model, environment)
    if found["rollout"] is None or found["rollout"]["bake"]:
        _nothing(found, output, clients)
        return
    after = clients.deployments.promote_now(found["id"], found["rollout"]["candidate"], reason)
    done = f"version {found['rollout']['version']} takes all of the traffic once it is ready"
    deployments.changed(after, done, resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy rollout', after)}")


def abort(
    model: Model,
    environment: Environment = None,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the history")] = "",
    output: Output = None,
) -> None:
    """End a rollout: the version from before gets all of the traffic back.

    Examples:
    schnitzel deploy abort angler@prod --reason "the labels are wrong"
    """
    clients = Clients(current())
    found = select.one(clients, model, environment)
    if found["rollout"] is None:
        _nothing(found, output, clients)
        return
    after = clients.deployments.abort(found["id"], found["rollout"]["candidate"], reason)
    bake = found["rollout"]["bake"]
    ends = f"the rollout of version {found['rollout']['version']} ends"
    if bake:
        ends += f", and version {bake['version']} serves again"
    deployments.changed(after, ends, resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy status', after)}")


def evidence(
    model: Model,
    environment: Environment = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="LIMIT=VALUE", help="Judge the last rollout once more so"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many steps, the newest first")] = 20,
    output: Output = None,
) -> None:
    """Show what rollouts were judged by; or what other limits would have said of the last.

    Examples:
    schnitzel deploy evidence angler@prod
    schnitzel deploy evidence angler@prod --with latency.p99=1.1x --with errors.worse_by=1pp
    """
    clients = Clients(current())
    found = select.one(clients, model, environment)
    shown = clients.deployments.evidence(found["id"], changes or [], limit)
    emit(shown, resolve_format(output, clients.config), lambda: views.evidence(found, shown))


def _nothing(found: Deployment, output: Output, clients: Clients) -> None:
    say(f"no rollout of {label(found)} is under way: nothing was changed")
    emit(found, resolve_format(output, clients.config), str)
