"""Open a page, or a model's endpoint, in a browser."""

import sys
from typing import Annotated

import typer

from cli.clients.all import Clients
from cli.config import current
from cli.errors import CommandError, unknown
from cli.shell import completion
from cli.shell.groups import command
from cli.shell.options import Environment
from cli.tasks import select
from cli.views.output import say, write

PAGES = {"overview": "deployer", "mlflow": "mlflow", "airflow": "airflow"}


def open_(
    target: Annotated[
        str,
        typer.Argument(
            metavar="[UI|MODEL]",
            help=f"{', '.join(PAGES)}, or a model for its endpoint",
            autocompletion=completion.pages,
        ),
    ] = "overview",
    environment: Environment = None,
    show: Annotated[bool, typer.Option("--print", help="Print the URL only")] = False,
) -> None:
    """Open the overview, Airflow, MLflow or a model's endpoint.

    Examples:
    schnitzel open
    schnitzel open mlflow
    schnitzel open angler@prod --print
    """
    clients = Clients(current())
    url = _url(clients, target, environment)
    if target == "airflow" and clients.runs_airflow:
        user, password = clients.airflow_login()
        if sys.stderr.isatty():
            say(f"log in as {user} with the password {password}")
        else:  # a log keeps every line
            say(f"log in as {user}; the password is in {clients.airflow_passwords}")
    if show or not sys.stdout.isatty():
        write(url)
        return
    import webbrowser

    say(f"opening {url}")
    if not webbrowser.open(url):
        write(url)


def _url(clients: Clients, target: str, environment: str | None) -> str:
    if target in PAGES:
        return f"{clients.url(PAGES[target])}/"
    known = list(PAGES)
    try:
        everything = clients.deployments.find()
    except CommandError as error:
        raise unknown("page", target, known, error.hint) from error
    if any(target in (each["model"], each["id"]) or "@" in target for each in everything):
        return str(select.one(clients, target, environment)["url"])
    names = [*known, *(each["model"] for each in everything)]
    raise unknown("page or model", target, names, f"there is: {', '.join(names)}")


app = command(open_)
