"""Run a command line of `schnitzel`, and return its exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from cli import __version__, config
from cli.errors import FAILED, INTERRUPTED, CommandError, UsageError
from cli.shell.coercion import lighten
from cli.shell.groups import LazyGroup
from cli.views.output import report, write

_app = typer.Typer(
    cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=False
)


# Typer vendors Click and exports only the leaves of its errors; this is their root, the base of all
# errors of a command line. A test checks that.
_CLICK_ERROR: Any = typer.BadParameter.__mro__[2]


def _version(wanted: bool) -> None:
    if wanted:
        write(f"schnitzel {__version__}")
        raise typer.Exit


@_app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option("--home", metavar="FOLDER", help="The platform's home (SCHNITZEL_HOME)"),
    ] = None,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Take a model from training to a served prediction."""
    if home:
        config.FLAGS["home"] = home
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit code; errors are printed, not raised."""
    config.FLAGS.clear()
    root: Any = lighten(typer.main.get_command(_app))
    try:
        code = root.main(args=list(arguments), prog_name="schnitzel", standalone_mode=False)
    except CommandError as error:
        report(error)
        return error.exit_code
    except _CLICK_ERROR as error:
        where = error.ctx.command_path if error.ctx else "schnitzel"
        message = error.format_message().rstrip(".")
        report(UsageError(message[:1].lower() + message[1:], f"see: {where} --help"))
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # kept open until exit, so that closing raises no error
        return 0
    except Exception as error:
        hint = getattr(error, "hint", None)  # the stack's errors have a hint, too
        if hint is None:
            raise
        report(CommandError(str(error), hint))
        return FAILED
    return int(code or 0)


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    if os.environ.get("_SCHNITZEL_COMPLETE") == "complete_bash":
        from cli.shell.bash_words import complete

        complete(os.environ, lambda: run(sys.argv[1:]))
        sys.exit(0)
    sys.exit(run(sys.argv[1:]))
