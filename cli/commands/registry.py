"""Show what the Deployer knows of MLflow's registry, and accept another registry."""

from cli.clients.all import Clients
from cli.config import current
from cli.shell.groups import Command, group
from cli.shell.options import Output, Yes, resolve_format
from cli.views.deployments import duration
from cli.views.output import confirm, emit, fields, say

app = group()


@app.callback()
def _registry() -> None:
    """The health of the registry; accept a changed one.

    Examples:
    schnitzel registry show
    """


@app.command(cls=Command)
def show(output: Output = None) -> None:
    """Show the health and the age of the Deployer's view of the registry.

    Examples:
    schnitzel registry show
    schnitzel registry show -o json
    """
    config = current()
    found = Clients(config).deployments.registry()
    age = found.get("age_seconds")
    emit(
        found,
        resolve_format(output, config),
        lambda: fields(
            [
                ("url", found["url"]),
                ("state", found["state"]),
                ("reason", found["reason"]),
                ("message", found["message"]),
                ("models", found["models"]),
                ("listed", None if age is None else f"{duration(age)} ago"),
                ("webhooks", "yes" if found["webhooks"] else "no"),
                ("next step", found["next_step"]),
            ]
        ),
    )


@app.command(cls=Command)
def accept(yes: Yes = False, output: Output = None) -> None:
    """Accept a registry that was replaced or restored.

    Nothing changes until then, because an empty or older registry would retire champions.

    Examples:
    schnitzel registry show
    schnitzel registry accept
    """
    config = current()
    deployments = Clients(config).deployments
    found = deployments.registry()
    if found["state"] != "Frozen":
        say(f"the registry is {found['state']}; there is nothing to accept")
    else:
        say(f"{found['reason']}: {found['message']}")
        confirm(f"Accept {found['url']} with its {found['models']} models?", yes=yes)
        deployments.accept_registry()
        say("accepted; deployments that it no longer promotes are retired after the grace time")
        say("next: schnitzel deploy plan")
    emit(deployments.registry(), resolve_format(output, config), str)
