"""A model and an input in; its prediction on standard output, the version that gave it on error."""

from typing import Annotated

import typer

from cli.clients.all import Clients
from cli.clients.deployments import Deployment, deployment_command, label, version_of
from cli.clients.http import Reply, Service
from cli.config import current
from cli.errors import CommandError, UsageError
from cli.shell.groups import command
from cli.shell.options import Environment, Model, Output, resolve_format
from cli.tasks import select
from cli.tasks.question import JSON, read
from cli.views.output import Format, emit, say

VERSION_HEADER = "x-schnitzel-model-version"


def predict(
    model: Model,
    environment: Environment = None,
    file: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE", help="JSON, or a .csv file; - is JSON from stdin"),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Send the input example logged with the version")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Wait this long for the answer")
    ] = 60,
    output: Output = None,
) -> None:
    """Send input to a served model and print its answer.

    The input is JSON as MLflow's scoring protocol has it: an object with inputs, instances,
    dataframe_split or dataframe_records. A plain list of objects is taken as dataframe_records,
    any other list as inputs. A file that ends in .csv is sent as it is: its first line names the
    columns, and the model's signature says what their values are.

    Examples:
    schnitzel predict angler -e prod --example
    schnitzel predict angler@prod --input pages.json
    schnitzel predict angler@prod --input pages.csv
    echo '[[0.1, 0.2]]' | schnitzel predict iris-forest --input -
    """
    if (file is None) == (not example):
        raise UsageError("give an input", "either --input FILE, --input - or --example")
    config = current()
    clients = Clients(config)
    question = None if file is None else read(file, "predict")
    deployment = select.one(clients, model, environment)
    serving = version_of(deployment["serving"])
    if serving is None:
        raise CommandError(f"{label(deployment)} serves nothing: {deployment['message']}",
                           deployment["next_step"])  # fmt: skip
    if question is None:
        question = JSON, clients.registry.example(deployment["model"], serving)
    reply = _ask(deployment, *question, timeout)
    answered = reply.headers.get(VERSION_HEADER) or f"{serving} (not said by the server)"
    say(f"{label(deployment)} version {answered} answered")
    form = resolve_format(output, config)
    answer = reply.json()
    emit(answer, Format.JSON if form is Format.TABLE else form, str)


def _ask(deployment: Deployment, kind: str, body: bytes, timeout: float) -> Reply:
    gateway = Service(
        label(deployment),
        deployment["url"].rstrip("/"),
        start=f"see: {deployment_command('deploy status', deployment)}",
        timeout=timeout,
    )
    return gateway.send("POST", "/invocations", raw=body, headers={"Content-Type": kind})


app = command(predict)
