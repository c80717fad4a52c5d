"""Commands about deployments in; the Deployer's answers out."""

from typing import Annotated, Any

import typer

from cli import views
from cli.client import Clients
from cli.config import current
from cli.deployments import Deployments, label
from cli.errors import PENDING
from cli.groups import Command, group
from cli.options import Environment, Output, Timeout, Yes, chosen
from cli.output import confirm, emit, fields, say, write
from cli.waiting import wait_for

app = group()

Model = Annotated[str, typer.Argument(metavar="MODEL[@ENV]", help="A model, as in angler@prod")]
OptionalModel = Annotated[
    str | None, typer.Argument(metavar="[MODEL[@ENV]]", help="A model, as in angler@prod")
]


def _open(environment: str | None) -> tuple[Clients, Deployments, str | None]:
    config = current()
    clients = Clients(config)
    return clients, clients.deployments, environment or config["environment"]


@app.callback()
def _deploy() -> None:
    """What is served and why; plan, apply, pause.

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
    clients, deployments, _ = _open(environment)
    found = deployments.find(environment=environment)
    emit(
        {"deployments": found},
        chosen(output, clients.config),
        lambda: views.deployments(found),
    )


@app.command(cls=Command)
def status(
    model: OptionalModel = None, environment: Environment = None, output: Output = None
) -> None:
    """Show a deployment's state, reason, predictors and next step.

    Examples:
    schnitzel deploy status angler
    schnitzel deploy status angler@prod -o yaml
    """
    clients, deployments, where = _open(environment)
    if model is None:
        found = deployments.find(environment=environment)
    else:
        found = deployments.named(model, None if "@" in model else where)
    emit(
        {"deployments": found},
        chosen(output, clients.config),
        lambda: "\n\n".join(views.deployment(each) for each in found) or "nothing is deployed",
    )


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
    """Wait until what is promoted serves, or cannot.

    Exits 0 when it serves, 1 when the Deployer says that it will not, 4 after --timeout.

    Examples:
    schnitzel deploy wait angler -e prod
    schnitzel deploy wait angler@prod --version 3 --timeout 120
    """
    clients, deployments, where = _open(environment)
    ident = deployments.one(model, None if "@" in model else where)["id"]
    found = wait_for(deployments, lambda: deployments.get(ident), version=version, seconds=timeout)
    emit(found, chosen(output, clients.config), lambda: found["url"])


@app.command(cls=Command)
def plan(
    model: OptionalModel = None,
    environment: Environment = None,
    output: Output = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 if changes are pending")
    ] = False,
) -> None:
    """Show what would change, and why.

    Examples:
    schnitzel deploy plan
    schnitzel deploy plan angler@prod --exit-code
    """
    clients, deployments, where = _open(environment)
    if model is None and environment is None:
        plans = deployments.plans()
    elif model is None:
        plans = [deployments.plan(each["id"]) for each in deployments.find(environment=environment)]
    else:
        named = deployments.named(model, None if "@" in model else where)
        plans = [deployments.plan(each["id"]) for each in named]
    emit(
        {"plans": plans},
        chosen(output, clients.config),
        lambda: "\n\n".join(views.plan(each) for each in plans) or "nothing is deployed",
    )
    if exit_code and any(each["pending"] for each in plans):
        raise typer.Exit(PENDING)


@app.command(cls=Command)
def apply(
    model: Model,
    environment: Environment = None,
    digest: Annotated[
        str | None,
        typer.Option("--plan", metavar="DIGEST", help="Apply only the plan with this digest"),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try a failed version again")] = False,
    allow_retire: Annotated[
        bool, typer.Option("--allow-retire", help="Take away what the policy would ask about")
    ] = False,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Reconcile a deployment now.

    Shows the plan and asks, unless --plan names one that was reviewed or --yes is given. Only the
    plan that was shown is applied; if the registry changed meanwhile, the Deployer refuses.

    Examples:
    schnitzel deploy apply angler@prod
    schnitzel deploy apply angler@prod --retry --yes
    schnitzel deploy apply angler@prod --plan 3f9a...
    """
    clients, deployments, where = _open(environment)
    found = deployments.one(model, None if "@" in model else where)
    if digest is None:
        shown = deployments.plan(found["id"])
        say(views.plan(shown))
        if not (shown["pending"] or retry or allow_retire):
            say("nothing to do")
            emit(found, chosen(output, clients.config), str)
            return
        confirm(f"Apply this to {label(found)}?", yes=yes)
        # A retry or a permission changes the plan itself, so it cannot be tied to the one shown.
        digest = None if retry or allow_retire else shown["digest"]
    after = deployments.apply(found["id"], digest=digest, retry=retry, allow_retire=allow_retire)
    _changed(after, "reconciling", output, clients)
    say(f"next: schnitzel deploy wait {label(after)}")


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
    clients, deployments, where = _open(environment)
    ident = deployments.one(model, None if "@" in model else where)["id"]
    events = deployments.history(ident, limit)
    emit({"events": events}, chosen(output, clients.config), lambda: views.history(events))


@app.command(cls=Command)
def logs(
    model: Model,
    environment: Environment = None,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", help="How many lines")] = 200,
    predictor: Annotated[
        str | None, typer.Option("--predictor", metavar="NAME", help="Of this predictor only")
    ] = None,
) -> None:
    """Print the last log lines of the model servers.

    Examples:
    schnitzel deploy logs angler@prod
    schnitzel deploy logs angler@prod -n 50
    """
    _, deployments, where = _open(environment)
    ident = deployments.one(model, None if "@" in model else where)["id"]
    text = deployments.logs(ident, lines, predictor)
    if text:
        write(text)
    else:
        say("no log lines yet")


@app.command(cls=Command)
def pause(
    model: Model,
    environment: Environment = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who find it paused")] = "",
    output: Output = None,
) -> None:
    """Stop reconciling a deployment; what serves keeps serving.

    Examples:
    schnitzel deploy pause angler@prod --reason "measuring version 2"
    """
    clients, deployments, where = _open(environment)
    found = deployments.one(model, None if "@" in model else where)
    after = deployments.pause(found["id"], reason)
    _changed(after, "paused", output, clients)
    say(f"next: schnitzel deploy resume {label(after)}")


@app.command(cls=Command)
def resume(model: Model, environment: Environment = None, output: Output = None) -> None:
    """Reconcile a paused deployment again.

    Examples:
    schnitzel deploy resume angler@prod
    """
    clients, deployments, where = _open(environment)
    found = deployments.one(model, None if "@" in model else where)
    _changed(deployments.resume(found["id"]), "resumed", output, clients)


def _changed(deployment: dict[str, Any], what: str, output: Any, clients: Clients) -> None:
    say(f"{label(deployment)}: {what}")
    emit(
        deployment,
        chosen(output, clients.config),
        lambda: fields([(key, deployment[key]) for key in ("state", "sync", "message", "url")]),
    )
