"""Start the local platform, and wait until it is healthy."""

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from cli.config import current
from cli.shell.groups import command
from cli.shell.options import Output, resolve_format
from cli.tasks.projects import projects
from cli.views.components import components_table
from cli.views.deployments import duration
from cli.views.live import Board
from cli.views.next_step import after_up
from cli.views.output import colour_state, emit, say

if TYPE_CHECKING:
    from stack.starting import Progress


def up(output: Output = None) -> None:
    """Start the local platform and wait until it is healthy.

    MLflow, Airflow, the MLflow Deployer and the gateway, under supervisord, on loopback. Run
    again, it starts what does not run and changes nothing else. What platform.yaml attaches is
    checked and not started; what it names in components, RabbitMQ, is started too.

    Examples:
    schnitzel up
    schnitzel up -o json
    """
    from stack import platform

    config = current()
    turn = threading.Lock()  # each component reports from a thread of its own
    with Board() as board:

        def progress(seen: "Progress") -> None:
            with turn:
                detail = f"  {seen.detail}" if seen.detail else ""
                board.line(
                    seen.component,
                    f"{seen.component:<10} {colour_state(seen.state)}{detail}",
                    detail=duration(seen.elapsed),
                )

        done = platform.up(progress)
    for notice in done.notices:
        say(f"note: {notice}")
    say(f"healthy after {duration(done.seconds)}" if done.started else "everything ran already")
    for login in done.logins:
        say(f"{login.component}: log in as {login.user}; the password is in {login.password_file}")
    emit(asdict(done), resolve_format(output, config), lambda: components_table(done.components))
    say(f"next: {after_up([each['name'] for each in projects(config.home)])}")


app = command(up)
