"""Show the plan of a deployment, have it confirmed, and apply it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cli.clients.deployments import deployment_command, label
from cli.errors import CommandError
from cli.views import deployments as views
from cli.views.output import confirm, say

if TYPE_CHECKING:
    from cli.clients.deployments import Deployment, Deployments


class Options(NamedTuple):
    """Options of an apply."""

    retry: bool
    allow_retire: bool
    adopt: bool


def apply(
    deployments: Deployments, found: Deployment, digest: str | None, options: Options, *, yes: bool
) -> Deployment | None:
    """Apply the reviewed plan, or show the plan, ask, and apply exactly that plan.

    Args:
        deployments: the Deployer.
        found: the deployment.
        digest: of the plan that was reviewed; None to show the current plan.
        options: the further options.
        yes: whether the user has agreed already.

    Returns:
        The deployment after the apply; None if there was nothing to do.

    Raises:
        UsageError: there is no terminal to ask on.
        CommandError: the answer was no, or the plan cannot be confirmed now.
    """
    if digest is None:
        shown = deployments.plan(found["id"])
        say(views.plan(shown))
        if not (shown["pending"] or any(options)):
            say("nothing to do")
            return None
        confirm(_question(found, shown, options), yes=yes)
        # A retry or a permission changes the plan itself, so the digest shown would not match.
        if options.adopt or not (options.retry or options.allow_retire):
            digest = shown["digest"]
            if not digest:
                raise CommandError(
                    f"what {label(found)} runs on cannot be seen now, so that no plan can be "
                    "confirmed; nothing was changed",
                    f"see why: {deployment_command('deploy status', found)}",
                )
    return deployments.apply(found["id"], digest=digest, **options._asdict())


def _question(found: Deployment, plan: dict[str, object], options: Options) -> str:
    objects = plan["objects"] if options.adopt else []
    assert isinstance(objects, list)  # noqa: S101 - the schema says so
    others = [f"{each['kind']}/{each['name']}" for each in objects if each["action"] == "conflict"]
    if not others:
        return f"Apply this to {label(found)}?"
    return f"Apply this to {label(found)}, and adopt {', '.join(others)}?"
