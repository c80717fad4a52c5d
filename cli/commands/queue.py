"""The queues of deployments: depths, messages, dead letters; make the queues that a spec names."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.clients.all import Clients
from cli.clients.deployments import Deployment, deployment_command, label, version_of
from cli.config import current
from cli.errors import CommandError, UsageError
from cli.shell.groups import Command, group
from cli.shell.options import Environment, Model, Output, Yes, resolve_format
from cli.tasks import question, select
from cli.views import queues as views
from cli.views.output import confirm, emit, say

LONG_SECONDS = 60.0
LOOKED_AT = 100

Limit = Annotated[int, typer.Option("--limit", min=1, max=LOOKED_AT, metavar="N", help="The most")]

app = group()


class Kind(StrEnum):
    """The kinds of queue that a broker may be asked for."""

    QUORUM = "quorum"
    CLASSIC = "classic"


def _one(
    model: str, environment: str | None, timeout: float | None = None
) -> tuple[Clients, Deployment]:
    clients = Clients(current(), timeout=timeout)
    return clients, select.one(clients, model, environment)


@app.callback()
def _queue() -> None:
    """Queues that models answer: depths, messages, dead letters.

    Examples:
    schnitzel queue list
    schnitzel queue show sentiment@prod
    schnitzel queue create sentiment@prod
    """


@app.command("list", cls=Command)
def list_(environment: Environment = None, output: Output = None) -> None:
    """List the deployments that answer a queue: what waits, how fast it is answered.

    Examples:
    schnitzel queue list
    schnitzel queue list -e prod -o json
    """
    clients = Clients(current())
    found = [one for one in clients.queues.all() if environment in (None, one["environment"])]
    emit({"queues": found}, resolve_format(output, clients.config), lambda: views.listed(found))


@app.command(cls=Command)
def show(
    model: Model,
    environment: Environment = None,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Look at the first dead letters, and count reasons")
    ] = False,
    output: Output = None,
) -> None:
    """Show a deployment's queue: depth, rates, shares of the versions, results, dead letters.

    Examples:
    schnitzel queue show sentiment@prod
    schnitzel queue show sentiment -e prod --reasons
    """
    clients, deployment = _one(model, environment)
    found = clients.queues.get(deployment["id"])
    dead = clients.queues.peek(deployment["id"], "dead", LOOKED_AT) if reasons else None
    form = resolve_format(output, clients.config)
    emit(found, form, lambda: views.queue(found, dead))
    if found["dead"] and dead is None:
        say(f"why they are dead: {deployment_command('queue dead', deployment)}")


@app.command(cls=Command)
def send(
    model: Model,
    environment: Environment = None,
    file: Annotated[
        str | None,
        typer.Option("--input", "-f", metavar="FILE", help="JSON, or a .csv file; - is stdin"),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Send the input example logged with the version")
    ] = False,
    content_type: Annotated[
        str | None,
        typer.Option("--content-type", metavar="TYPE", help="Send the file as it is, as this"),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=100_000, metavar="N", help="Times")
    ] = 1,
    message_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The id of the message; else a new one")
    ] = None,
    output: Output = None,
) -> None:
    """Send a message to a model's queue, and print its id.

    The input is what `predict` takes: JSON as MLflow's scoring protocol has it, or a .csv file. The
    answer goes to the deployment's results, where its correlation id is the id printed here.

    Examples:
    schnitzel queue send sentiment@prod --example
    schnitzel queue send sentiment -e prod -f messages.json
    schnitzel queue send sentiment@prod -f rows.csv --count 100
    schnitzel queue send sentiment@prod -f oip.json --content-type application/vnd.oip+json
    """
    if (file is None) == (not example):
        raise UsageError("give an input", "either --input FILE, --input - or --example")
    if message_id and count > 1:
        raise UsageError("--id is of one message", "leave out --id, or --count")
    if content_type and file is None:
        raise UsageError("--content-type is of a file", "add --input FILE")
    asked = ("", b"")
    if file is not None and content_type:
        asked = content_type, question.text_of(file).encode()
    elif file is not None:
        asked = question.read(file, "queue send")
    clients, deployment = _one(model, environment, LONG_SECONDS)
    if file is None:
        asked = question.JSON, clients.registry.example(deployment["model"], _version(deployment))
    message = {"content_type": asked[0], "body": asked[1].decode(), "message_id": message_id or ""}
    sent = clients.queues.send(deployment["id"], message, count)
    say(f"{label(deployment)}: sent to {sent['queue']}: {len(sent['message_ids'])}")
    form = resolve_format(output, clients.config)
    emit(sent, form, lambda: "\n".join(sent["message_ids"]))


@app.command(cls=Command)
def peek(
    model: Model,
    environment: Environment = None,
    queue: Annotated[
        str, typer.Option("--queue", metavar="NAME", help="source, dead, or a queue of results")
    ] = "source",
    limit: Limit = 10,
    output: Output = None,
) -> None:
    """Look at the messages that wait; all of them stay.

    Examples:
    schnitzel queue peek sentiment@prod
    schnitzel queue peek sentiment@prod --queue sentiment.prod.results --limit 3 -o json
    """
    clients, deployment = _one(model, environment)
    found = clients.queues.peek(deployment["id"], queue, limit)
    emit(found, resolve_format(output, clients.config), lambda: views.messages(found))


@app.command(cls=Command)
def dead(
    model: Model, environment: Environment = None, limit: Limit = 20, output: Output = None
) -> None:
    """Look at the dead letters, and why each is dead; all of them stay.

    Examples:
    schnitzel queue dead sentiment@prod
    schnitzel queue dead sentiment -e prod --limit 100 -o json
    """
    clients, deployment = _one(model, environment)
    found = clients.queues.peek(deployment["id"], "dead", limit)
    emit(found, resolve_format(output, clients.config), lambda: views.dead_letters(found))
    if found["messages"]:
        say(f"send them again: {deployment_command('queue replay', deployment, '--all')}")


@app.command(cls=Command)
def replay(
    model: Model,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters")
    ] = None,
    environment: Environment = None,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", metavar="REASON", help="Those of a reason, such as TimedOut"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="The most")
    ] = 1_000,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Send dead letters to the model's queue again, without what was noted on their death.

    Those that are not chosen stay dead letters. One that cannot be answered comes back.

    Examples:
    schnitzel queue replay sentiment@prod 5f0c1b2a
    schnitzel queue replay sentiment@prod --reason TimedOut --reason WorkerKilled
    schnitzel queue replay sentiment -e prod --all --yes
    """
    chosen, whys = ids or [], reason or []
    if everything == bool(chosen or whys):
        raise UsageError("say which dead letters", "either their ids, --reason REASON or --all")
    clients, deployment = _one(model, environment, LONG_SECONDS)
    what = "all dead letters" if everything else f"the dead letters {', '.join([*chosen, *whys])}"
    confirm(f"Send {what} of {label(deployment)} again, {limit:,} at most?", yes=yes)
    done = clients.queues.replay(deployment["id"], chosen, whys, everything=everything, limit=limit)
    left = f", {done['left']:,} not looked at" if done["left"] else ""
    say(f"{label(deployment)}: {done['replayed']:,} sent again, {done['kept']:,} stay{left}")
    emit(done, resolve_format(output, clients.config), str)
    if done["left"] and done["replayed"]:
        say("for the others: run this again")


@app.command(cls=Command)
def create(
    model: Model,
    environment: Environment = None,
    kind: Annotated[Kind, typer.Option("--kind", help="The kind of the queues")] = Kind.QUORUM,
    output: Output = None,
) -> None:
    """Make the queues that a deployment's serving.yaml names: source, results, dead letters.

    Those that are there stay as they are. Nothing else of the platform makes or deletes a queue.

    Examples:
    schnitzel queue create sentiment@prod
    schnitzel queue create sentiment -e staging --kind classic
    """
    clients, deployment = _one(model, environment)
    found = clients.queues.create(deployment["id"], kind.value)
    emit(found, resolve_format(output, clients.config), lambda: views.created(found))
    say(f"next: {deployment_command('queue show', deployment)}")


def _version(deployment: Deployment) -> str:
    version: Any = version_of(deployment["serving"]) or version_of(deployment["wanted"])
    if version is None:
        raise CommandError(
            f"{label(deployment)} serves nothing: {deployment['message']}", deployment["next_step"]
        )
    return str(version)
