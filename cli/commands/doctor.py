"""Check this machine and the local platform."""

import typer

from cli.config import current
from cli.errors import FAILED
from cli.shell.groups import command
from cli.shell.options import Output, resolve_format
from cli.views.output import colour_state, emit, say, table


def doctor(output: Output = None) -> None:
    """Find what is wrong and print the command that fixes it.

    Looks at Python, tools, packages, folders, disk, settings, ports and components. Exits 1 if
    anything fails.

    Examples:
    schnitzel doctor
    schnitzel doctor -o json
    """
    from stack.doctor import doctor as run_checks

    config = current()
    checks = run_checks()
    failed = [each for each in checks if each.level == "fail"]
    shown = [
        {"name": each.name, "level": each.level, "message": each.message, "mend": each.fix}
        for each in checks
    ]
    emit(
        {"healthy": not failed, "checks": shown},
        resolve_format(output, config),
        lambda: table(
            ("CHECK", "RESULT", "WHAT WAS FOUND"),
            [(each.name, each.level, each.message) for each in checks],
        ),
    )
    for each in checks:
        if each.fix:
            say(f"{colour_state(each.level)} {each.name}: to fix it: {each.fix}")
    if failed:
        raise typer.Exit(FAILED)


app = command(doctor)
