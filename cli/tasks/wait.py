"""Wait for a deployment with live progress, and show the log's last lines on failure."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cli.clients.deployments import Deployment, Deployments, label
from cli.clients.retry import with_retries
from cli.errors import CommandError, WaitTimedOut
from cli.views.deployments import duration
from cli.views.live import Board
from cli.views.output import colour_state, say

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_LINES = 20


def wait_for(
    deployments: Deployments,
    find: Callable[[], Deployment | None],
    *,
    version: str | None,
    seconds: float,
) -> Deployment:
    """Wait until a deployment serves, showing its state as it changes.

    Args:
        deployments: the Deployer.
        find: looks the deployment up; None while there is none yet.
        version: the version it must serve; None for the wanted version, whichever it is.
        seconds: how long to wait.

    Raises:
        CommandError: the deployment is stuck; its last log lines were shown.
        WaitTimedOut: the deadline passed.
    """
    began = time.monotonic()
    latest: list[Deployment] = []
    with Board() as board:

        def progress(seen: Deployment) -> None:
            latest[:] = [seen]
            text = f"{label(seen)}  {colour_state(seen['state'])}  {seen['message']}"
            board.line("deployment", text, detail=duration(time.monotonic() - began))

        find = with_retries(find, lambda text: board.line("service", text))
        try:
            return deployments.wait(find, version=version, seconds=seconds, progress=progress)
        except WaitTimedOut:
            raise
        except CommandError:
            _last_lines(deployments, latest)
            raise


def _last_lines(deployments: Deployments, latest: list[Deployment]) -> None:
    if latest:
        with suppress(CommandError):
            text = deployments.logs(latest[0]["id"], LAST_LINES).text
            if text.strip():
                say(f"\nlast log lines of {label(latest[0])}:\n{text.rstrip()}\n")
