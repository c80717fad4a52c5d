"""Check, register and list projects."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from cli.config import current
from cli.errors import CommandError
from cli.shell import completion
from cli.shell.groups import Command, group
from cli.shell.options import Output, Yes, resolve_format
from cli.tasks.projects import check as check_folder, project, projects, register, unregister
from cli.views.output import confirm, emit, fields, say, table

app = group()

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder with project.yaml")]


@app.callback()
def _project() -> None:
    """Register project folders and check them.

    Examples:
    schnitzel project check examples/angler
    schnitzel project add examples/angler
    """


@app.command(cls=Command)
def add(folder: Folder, yes: Yes = False, output: Output = None) -> None:
    """Register a project, so that Airflow has its pipeline.

    Examples:
    schnitzel project add examples/angler
    schnitzel project add .
    """
    config = current()
    path = folder.expanduser().absolute()
    found = check_folder(path)
    name = found["name"]
    before = {each["name"]: each["path"] for each in projects(config.home)}.get(name)
    if before not in (None, str(path)):
        say(f"{name} is registered already, from {before}")
        confirm(f"Take it from {path} from now on?", yes=yes)
    if before == str(path):
        say(f"{name} was registered already; nothing changed")
    else:
        register(config.home, name, path)
        say(f"registered {name}")
    say(f"next: schnitzel train {quote(name)}")
    data = {**found, "path": str(path)}
    emit(data, resolve_format(output, config), lambda: fields([("name", name), ("path", path)]))


@app.command(cls=Command)
def remove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A registered project", autocompletion=completion.projects
        ),
    ],
    output: Output = None,
) -> None:
    """Take a project off the list, so that Airflow drops its pipeline.

    Its folder, runs and models stay, and promoted versions keep serving.

    Examples:
    schnitzel project remove angler
    """
    config = current()
    found = project(config.home, name)
    unregister(config.home, name)
    say(f"removed {name}; its folder, runs and models stay")
    say(f"to have it again: schnitzel project add {quote(found['path'])}")
    emit(
        found,
        resolve_format(output, config),
        lambda: fields([("name", name), ("path", found["path"])]),
    )


@app.command("list", cls=Command)
def list_(output: Output = None) -> None:
    """List the registered projects.

    Examples:
    schnitzel project list
    """
    config = current()
    found = [
        {**each, "found": (Path(each["path"]) / "project.yaml").is_file()}
        for each in projects(config.home)
    ]
    if not found:
        say("no project is registered; add one with: schnitzel project add FOLDER")
    rows = [(each["name"], each["path"], "" if each["found"] else "missing") for each in found]
    emit(
        {"projects": found},
        resolve_format(output, config),
        lambda: table(("PROJECT", "FOLDER", ""), rows) if rows else "",
    )


@app.command(cls=Command)
def check(folder: Folder, output: Output = None) -> None:
    """Check a project's project.yaml against the schema.

    Examples:
    schnitzel project check examples/angler
    """
    config = current()
    found = check_folder(folder.expanduser().absolute())
    if not found.get("steps"):
        raise CommandError(
            f"{found['name']} has no steps", "name them under steps: in project.yaml"
        )
    emit(
        found,
        resolve_format(output, config),
        lambda: fields(
            [
                ("name", found["name"]),
                ("owner", found["owner"]),
                ("model", found["model"]),
                ("steps", ", ".join(_names(found["steps"]))),
            ]
        ),
    )
    say(f"next: schnitzel project add {quote(str(folder))}")


def _names(steps: list[object]) -> list[str]:
    return [str(step["name"]) if isinstance(step, dict) else str(step) for step in steps]
