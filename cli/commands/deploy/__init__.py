"""Show, apply, pause and follow deployments."""

from typing import Annotated

import typer

from cli.clients.all import Clients
from cli.clients.deployments import Deployment, deployment_command
from cli.commands.deploy import rollout as rollouts
from cli.config import current
from cli.errors import PENDING
from cli.shell.groups import Command, group
from cli.shell.options import (
    Environment,
    ExitCode,
    Model,
    OptionalModel,
    Output,
    Timeout,
    Yes,
    resolve_format,
)
from cli.tasks import apply as applying, select
from cli.tasks.wait import wait_for
from cli.views import deployments as views, objects
from cli.views.output import emit, say, write

app = group()


def _one(model: str, environment: str | None) -> tuple[Clients, Deployment]:
    clients = Clients(current())
    return clients, select.one(clients, model, environment)


def _several(model: str | None, environment: str | None) -> tuple[Clients, list[Deployment]]:
    clients = Clients(current())
    return clients, select.several(clients, model, environment)


@app.callback()
def _deploy() -> None:
    """What is served and why; plan, diff, apply, pause.

    Examples:
    schnitzel deploy list
    schnitzel deploy status angler@prod
    schnitzel deploy wait angler -e prod --timeout 300
    """


@app.command("list", cls=Command)
def list_(environment: Environment = None, output: Output = None) -> None:
    """List the deployments: state, wanted and serving version, URL.

    Examples:
    schnitzel deploy list
    schnitzel deploy list -e prod -o json
    """
    clients, found = _several(None, environment)
    emit(
        {"deployments": found},
        resolve_format(output, clients.config),
        lambda: views.deployments(found),
    )


@app.command(cls=Command)
def status(
    model: OptionalModel = None, environment: Environment = None, output: Output = None
) -> None:
    """Show a deployment's state, reason, predictors and next step; without MODEL, of all.

    Examples:
    schnitzel deploy status angler
    schnitzel deploy status angler@prod -o yaml
    """
    clients, found = _several(model, environment)
    emit({"deployments": found}, resolve_format(output, clients.config), lambda: views.pages(found))


@app.command(cls=Command)
def wait(
    model: Model,
    environment: Environment = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="N", help="Wait until this version serves")
    ] = None,
    timeout: Timeout = 600,
    output: Output = None,
) -> None:
    """Wait until the promoted version serves, or cannot.

    Exits 0 when it serves, 1 when the Deployer gives it up, 4 after --timeout.

    Examples:
    schnitzel deploy wait angler -e prod
    schnitzel deploy wait angler@prod --version 3 --timeout 120
    """
    clients, named = _one(model, environment)
    found = wait_for(
        clients.deployments,
        lambda: clients.deployments.get(named["id"]),
        version=version,
        seconds=timeout,
    )
    emit(found, resolve_format(output, clients.config), lambda: found["url"])


@app.command(cls=Command)
def plan(
    model: OptionalModel = None,
    environment: Environment = None,
    output: Output = None,
    exit_code: ExitCode = False,
) -> None:
    """Show what would change, and why.

    Examples:
    schnitzel deploy plan
    schnitzel deploy plan angler@prod --exit-code
    """
    clients, found = _several(model, environment)
    plans = [clients.deployments.plan(each["id"]) for each in found]
    emit(
        {"plans": plans},
        resolve_format(output, clients.config),
        lambda: "\n\n".join(views.plan(each) for each in plans) or "nothing is deployed",
    )
    if exit_code and any(each["pending"] for each in plans):
        raise typer.Exit(PENDING)


@app.command(cls=Command)
def diff(
    model: OptionalModel = None,
    environment: Environment = None,
    output: Output = None,
    exit_code: ExitCode = False,
) -> None:
    """Show the objects that would change, field by field.

    On a cluster the API server checks each change by a dry run. Secrets are masked. Exits 0,
    whether or not anything would change; with --exit-code 3 if it would.

    Examples:
    schnitzel deploy diff angler@prod
    schnitzel deploy diff -e prod --exit-code
    """
    clients, found = _several(model, environment)
    diffs = [clients.deployments.diff(each["id"]) for each in found]
    emit(
        {"diffs": diffs},
        resolve_format(output, clients.config),
        lambda: "\n\n".join(objects.diff(each) for each in diffs) or "nothing is deployed",
    )
    if exit_code and any(each["objects"] for each in diffs):
        raise typer.Exit(PENDING)


@app.command(cls=Command)
def tree(model: Model, environment: Environment = None, output: Output = None) -> None:
    """Show a deployment's objects in its target, each with its status.

    Examples:
    schnitzel deploy tree angler@prod
    """
    clients, found = _one(model, environment)
    seen = clients.deployments.tree(found["id"])
    emit(seen, resolve_format(output, clients.config), lambda: objects.tree(seen))


@app.command(cls=Command)
def apply(
    model: Model,
    environment: Environment = None,
    digest: Annotated[
        str | None,
        typer.Option("--plan", metavar="DIGEST", help="Apply only the plan with this digest"),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Retry a failed version")] = False,
    allow_retire: Annotated[
        bool,
        typer.Option("--allow-retire", help="Retire a champion although the policy would refuse"),
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Adopt foreign objects that are in the way")
    ] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Reconcile a deployment now.

    Shows the plan and asks, unless --plan names one that was reviewed or --yes is given. Only the
    plan that was shown is applied; if the registry, a chart, a setting or an object changed
    meanwhile, the Deployer refuses.

    Examples:
    schnitzel deploy apply angler@prod
    schnitzel deploy apply angler@prod --retry --yes
    schnitzel deploy apply angler@prod --plan 3f9a...
    schnitzel deploy apply angler@prod --adopt
    """
    clients, found = _one(model, environment)
    options = applying.Options(retry, allow_retire, adopt)
    after = applying.apply(clients.deployments, found, digest, options, yes=yes)
    if after is None:
        emit(found, resolve_format(output, clients.config), str)
        return
    views.changed(after, "reconciling", resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy wait', after)}")


@app.command(cls=Command)
def history(
    model: Model,
    environment: Environment = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many events")] = 50,
    output: Output = None,
) -> None:
    """Show who changed what, when and why; newest last.

    Examples:
    schnitzel deploy history angler@prod
    schnitzel deploy history angler@prod --limit 5 -o json
    """
    clients, found = _one(model, environment)
    events = clients.deployments.history(found["id"], limit)
    emit({"events": events}, resolve_format(output, clients.config), lambda: views.history(events))


@app.command(cls=Command)
def logs(
    model: Model,
    environment: Environment = None,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", help="How many lines")] = 200,
    predictor: Annotated[
        str | None, typer.Option("--predictor", metavar="NAME", help="Of this predictor only")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow new lines until Ctrl-C")
    ] = False,
) -> None:
    """Print the last log lines of the model server.

    During a rollout it is the new version's; --follow goes from one predictor to the next.

    Examples:
    schnitzel deploy logs angler@prod
    schnitzel deploy logs angler@prod -n 50 -f
    """
    clients, found = _one(model, environment)
    if follow:
        from cli.tasks.follow import follow as tail

        tail(lambda: clients.deployments.logs(found["id"], lines, predictor))
    text = clients.deployments.logs(found["id"], lines, predictor).text
    if text:
        write(text)
    else:
        say("no log lines yet")


@app.command(cls=Command)
def pause(
    model: Model,
    environment: Environment = None,
    reason: Annotated[str, typer.Option("--reason", help="The reason, shown meanwhile")] = "",
    output: Output = None,
) -> None:
    """Stop reconciling a deployment; what serves keeps serving.

    Examples:
    schnitzel deploy pause angler@prod --reason "measuring version 2"
    """
    clients, found = _one(model, environment)
    after = clients.deployments.pause(found["id"], reason)
    views.changed(after, "paused", resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy resume', after)}")


@app.command(cls=Command)
def resume(model: Model, environment: Environment = None, output: Output = None) -> None:
    """Reconcile a paused deployment again.

    Examples:
    schnitzel deploy resume angler@prod
    """
    clients, found = _one(model, environment)
    after = clients.deployments.resume(found["id"])
    views.changed(after, "resumed", resolve_format(output, clients.config))
    say(f"next: {deployment_command('deploy status', found)}")


rollouts.add(app)
