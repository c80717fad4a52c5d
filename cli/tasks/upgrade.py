"""Show the progress of a platform upgrade, and wait for its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import label
from cli.clients.retry import with_retries
from cli.errors import CommandError, WaitTimedOut
from cli.views.deployments import duration
from cli.views.live import Board
from cli.views.output import bold, colour_state, table

if TYPE_CHECKING:
    from collections.abc import Callable

Upgrade = dict[str, Any]  # the API's own shape; the OpenAPI schema says which

BEGUN = ("now", "moving")
LEFT = ("paused", "promoted", "unpromoted", "invalid")
EXPLAINED = ("failed", "paused", "unpromoted", "invalid")
POLL_SECONDS = 0.5


def as_table(found: Upgrade) -> str:
    """Draw the plan: each move with versions and batch, and why a deployment does not move."""
    moves = found["deployments"]
    short = _shortener([each[key] for each in moves for key in ("from", "to")])
    if moves:
        headers = ("ENVIRONMENT", "DEPLOYMENT", "FROM", "TO", "STATE", "BATCH")
        rows = [
            (
                each["environment"],
                label(each),
                short(each["from"]),
                short(each["to"]),
                each["state"],
                f"{each['batch']} of {found['batches']}" if each["batch"] else "-",
            )
            for each in moves
        ]
        parts = [table(headers, rows)]
    else:
        versions = [each for each in found["environments"] if each["version"]]
        if not versions:
            return "No environment is on a cluster; what runs here is upgraded by installing it."
        rows_of = [(each["environment"], each["version"]) for each in versions]
        parts = [table(("ENVIRONMENT", "CHART AND SERVER IMAGE"), rows_of)]
    parts += [""]
    parts += [f"{label(each)}: {each['why']}" for each in moves if each["state"] in EXPLAINED]
    parts += [f"{colour_state(found['state'])}  {found['message']}"]
    parts += [f"{bold('next')}  {found['next_step']}"]
    return "\n".join(parts)


def wait(look: Callable[[], Upgrade], *, until_halted: bool, seconds: float) -> Upgrade:
    """Wait until no deployment moves any more, showing the progress.

    Args:
        look: asks the Deployer.
        until_halted: whether to ignore deployments that wait, because the user just halted them.
        seconds: how long to wait.

    Raises:
        CommandError: a deployment failed, or the upgrade waits for an operator.
        WaitTimedOut: the deadline passed.
    """
    began = time.monotonic()
    with Board() as board:
        look = with_retries(look, lambda text: board.line("service", text))
        while True:
            found = look()
            passed = time.monotonic() - began
            board.line(
                "upgrade",
                f"{colour_state(found['state'])}  {found['message']}",
                detail=duration(passed),
            )
            moves = [each for each in found["deployments"] if each["state"] not in LEFT]
            begun = any(each["state"] in BEGUN for each in moves)
            if not moves or (until_halted and not begun):
                return found
            if found["state"] == "Failed" or (found["state"] in ("Halted", "Frozen") and not begun):
                raise CommandError(found["message"], found["next_step"])
            if passed >= seconds:
                message = f"it is not over after {seconds:g} s: {found['message']}"
                raise WaitTimedOut(message, "see: schnitzel platform upgrade --plan")
            time.sleep(POLL_SECONDS)


def _shortener(versions: list[str]) -> Callable[[str], str]:
    """Choose the shortest form of chart and image versions that keeps them distinct."""
    ways: list[Callable[[str], str]] = [_image, _digest]
    for way in ways:
        if len({way(version) for version in versions}) == len(set(versions)):
            return way
    return str


def _digest(version: str) -> str:
    """Shorten the digest: `0.1.0 registry.example/ml/model-server@sha256:5eedab1e`."""
    name, found, digest = version.partition("@sha256:")
    return f"{name}{found}{digest[:8]}"


def _image(version: str) -> str:
    """Shorten the digest and the image's name: `0.1.0 model-server@sha256:5eedab1e`."""
    chart, _, image = _digest(version).partition(" ")
    return f"{chart} {image.rpartition('/')[2]}".strip()
