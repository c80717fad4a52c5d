"""Check this machine and the local platform."""

from dataclasses import asdict

import typer

from cli.config import current
from cli.errors import FAILED
from cli.shell.groups import command
from cli.shell.options import Output, chosen
from cli.views.output import emit, say, table, toned


def doctor(output: Output = None) -> None:
    """Find what is wrong and print the command that mends it.

    Looks at Python, tools, packages, folders, disk, settings, ports and components. Exits 1 if
    anything fails.

    Examples:
    schnitzel doctor
    schnitzel doctor -o json
    """
    from stack.doctor import doctor as look

    config = current()
    checks = look()
    failed = [each for each in checks if each.level == "fail"]
    emit(
        {"healthy": not failed, "checks": [asdict(each) for each in checks]},
        chosen(output, config),
        lambda: table(
            ("CHECK", "RESULT", "WHAT WAS FOUND"),
            [(each.name, each.level, each.message) for each in checks],
        ),
    )
    for each in checks:
        if each.mend:
            say(f"{toned(each.level)} {each.name}: mend it with: {each.mend}")
    if failed:
        raise typer.Exit(FAILED)


app = command(doctor)
