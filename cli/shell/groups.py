"""Build Typer groups that load a command when it is invoked, and print help.

Typer vendors Click since 0.26, so a lazy group can only be a subclass of its own `TyperGroup`. Help
is plain text, examples first: rich would take longer to import than everything else here.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.errors import UsageError, unknown
from cli.shell.coercion import lighten, lighten_parameter
from cli.shell.table import ENTRIES, PANELS
from cli.views.output import bold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

INTRODUCTION = "Schnitzel takes a model from training to a served prediction."
EXAMPLES = (
    ("schnitzel up", "start MLflow, Airflow, the Deployer and the gateway here"),
    ("schnitzel train angler", "run the pipeline of the project angler"),
    ("schnitzel model promote angler@2 --to prod", "serve version 2 in production"),
    ("schnitzel predict angler -e prod --example", "ask it the model's own example"),
)


def load(name: str) -> Any:
    """Import a command of the table, and return Typer's command for it."""
    entry = ENTRIES[name]
    command: Any = typer.main.get_command(import_module(entry.module).app)
    command.name = name
    return lighten(command)


def group() -> typer.Typer:
    """Create a group of commands with the CLI's help format."""
    return typer.Typer(
        cls=Group, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False
    )


def command(function: Callable[..., Any]) -> typer.Typer:
    """Create a standalone command, such as `up`, from one function."""
    app = group()
    app.command(cls=Command)(function)
    return app


def _paragraphs(text: str | None) -> tuple[str, str, str]:
    """Split a command's docstring into its summary, its examples and the rest."""
    body, _, examples = inspect.cleandoc(text or "").partition("\nExamples:\n")
    summary, _, rest = body.partition("\n")
    return summary.strip(), inspect.cleandoc(examples), rest.strip()


def _section(title: str, body: str) -> str:
    return f"{bold(title)}\n{body}\n"


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    found = list(rows)
    width = max((len(left) for left, _ in found), default=0)
    return _indented(f"{left:<{width}}  {right}".rstrip() for left, right in found)


def _write_help(ctx: typer.Context, formatter: Any, commands: str = "") -> None:
    summary, examples, rest = _paragraphs(ctx.command.help)
    parts = [f"{summary}.\n" if summary and not summary.endswith(".") else f"{summary}\n"]
    if rest:
        parts.append(f"{rest}\n")
    if examples:
        parts.append(_section("Examples:", _indented(examples.splitlines())))
    arguments = [p for p in ctx.command.params if p.param_type_name == "argument"]
    pieces = [ctx.command_path, *(str(p.metavar) for p in arguments), "[OPTIONS]"]
    if commands:
        pieces = [ctx.command_path, "COMMAND", "[OPTIONS]"]
    parts.append(_section("Usage:", f"  {' '.join(pieces)}"))
    if commands:
        parts.append(_section("Commands:", commands))
    if arguments:
        rows = _columns((str(p.metavar), getattr(p, "help", None) or "") for p in arguments)
        parts.append(_section("Arguments:", rows))
    parts.append(_section("Options:", _options(ctx)))
    formatter.write("\n".join(parts))


def _options(ctx: typer.Context) -> str:
    records = [
        param.get_help_record(ctx)
        for param in ctx.command.get_params(ctx)
        if param.param_type_name == "option"
    ]
    return _columns(record for record in records if record is not None)


def _help_option(option: Any) -> Any:
    """Make Typer's own --help option light, too, and give it the wording of our options."""
    if option is not None:
        lighten_parameter(option)
        option.help = "Show this help"
    return option


class Command(TyperCommand):
    """A command whose help shows the summary, then examples, then usage and options."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the --help option."""
        return _help_option(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write this command's help into Typer's formatter."""
        _write_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands; for an unknown command, the error suggests the closest existing one."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the --help option."""
        return _help_option(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write this group's help into Typer's formatter."""
        rows = [(name, _paragraphs(sub.help)[0]) for name, sub in self.commands.items()]
        _write_help(ctx, formatter, _columns(rows))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of the first argument.

        Raises:
            UsageError: there is none, or it is an option where a command belongs.
        """
        name = args[0]
        if name in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        otherwise = f"see the commands with: {ctx.command_path} --help"
        if name.startswith("-"):
            raise UsageError(f"unknown option {name!r}", otherwise)
        raise unknown("command", name, self.list_commands(ctx), otherwise)


class LazyGroup(Group):
    """The root: knows its commands from the static table, and imports a command on invocation."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # Typer's signature
        """List the command names in the table's order."""
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # Typer's signature
        """Import and return a command, or None if the table does not have it."""
        return load(cmd_name) if cmd_name in ENTRIES else None

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ARG002
        """Complete a command's name from the table, without importing a command."""
        from typer._click.shell_completion import CompletionItem

        return [
            CompletionItem(entry.name, help=entry.summary)
            for entry in ENTRIES.values()
            if entry.name.startswith(incomplete)
        ]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole tree, in panels, into Typer's formatter."""
        parts = [
            f"{INTRODUCTION}\n",
            _section("Examples:", _columns(EXAMPLES)),
            _section("Usage:", f"  {ctx.command_path} COMMAND [OPTIONS]"),
        ]
        shown = {
            entry.name: f"{entry.name} {'|'.join(entry.commands)}".rstrip()
            for entry in ENTRIES.values()
        }
        width = max(len(name) for name in shown.values() if len(name) <= 24)
        for panel, entries in PANELS.items():
            lines: list[str] = []
            for entry in entries:
                label = shown[entry.name]
                if len(label) > width:
                    lines += [label, f"{'':<{width}}  {entry.summary}"]
                else:
                    lines.append(f"{label:<{width}}  {entry.summary}")
            parts.append(_section(panel, _indented(lines)))
        parts.append(_section("OPTIONS", _options(ctx)))
        parts.append("`schnitzel COMMAND --help` explains a command.")
        formatter.write("\n".join(parts))
