"""Show every setting with its origin."""

from cli.config import KEYS, current
from cli.errors import CommandError
from cli.settings import platform_settings
from cli.shell.groups import Command, group
from cli.shell.options import Output, resolve_format
from cli.views.output import emit, say, table

app = group()


@app.callback()
def _config() -> None:
    """Settings and where each came from.

    Examples:
    schnitzel config show
    """


@app.command(cls=Command)
def show(output: Output = None) -> None:
    """Show every setting, its value and where it came from.

    The first are the command line's own; the others are the platform's, from platform.yaml and
    SCHNITZEL_* variables.

    Examples:
    schnitzel config show
    schnitzel config show -o json
    """
    config = current()
    rows: list[dict[str, object]] = [
        {"setting": name, "value": setting.value, "origin": setting.origin}
        for name, setting in config.settings.items()
    ]
    try:
        platform = platform_settings(config.home)
    except CommandError as error:
        say(f"warning: {error}")
        platform = {}
    rows += [
        {"setting": name, "value": _at(platform, name), "origin": origin}
        for name, origin in platform.get("origins", {}).items()
        if name not in KEYS
    ]
    emit(
        {"settings": rows},
        resolve_format(output, config),
        lambda: table(
            ("SETTING", "VALUE", "ORIGIN"),
            [(row["setting"], row["value"], row["origin"]) for row in rows],
        ),
    )


def _at(document: object, name: str) -> object:
    for part in name.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document
