"""Values in; data on standard output, and everything else on standard error.

Colour only on a terminal, and never with NO_COLOR or TERM=dumb; every text reads without it.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_TONES = {
    "green": ("serving", "success", "healthy", "running", "ready", "insync", "ok", "fresh", "yes"),
    "yellow": (
        "progressing", "queued", "starting", "paused", "outofsync", "nothingpromoted", "stale",
        "warn", "degraded", "restarting", "up_for_retry", "scheduled",
    ),
    "red": ("failed", "frozen", "unhealthy", "fatal", "stopped", "upstream_failed", "fail"),
}  # fmt: skip
WIDEST = 60
"""Characters of a cell: a model's name may have 256."""
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states}


class Format(StrEnum):
    """How a command prints its data."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def interactive(stream: TextIO) -> bool:
    """Return whether this stream is a terminal that can redraw."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Return whether to colour this stream (https://no-color.org)."""
    return interactive(stream) and not os.environ.get("NO_COLOR")


def style(text: str, name: str, stream: TextIO | None = None) -> str:
    """Wrap a text in an ANSI style, if the stream (standard output) shows colour."""
    return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if coloured(stream or sys.stdout) else text


def bold(text: str) -> str:
    """Emphasise a title on standard output."""
    return style(text, "bold")


def colour_state(state: str, stream: TextIO | None = None) -> str:
    """Colour a state by its meaning: green works, yellow is under way, red does not work."""
    tone = _TONE_OF.get(state.strip().lower())
    return style(state, tone, stream) if tone else state


def say(text: str = "") -> None:
    """Print a message on standard error, where no program reads it."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write(text: str) -> None:
    """Put a text on standard output, with a newline if it lacks one."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def emit(value: Any, form: Format, table: Callable[[], str]) -> None:
    """Print a command's data on standard output.

    Args:
        value: plain JSON data; the shape is the same for JSON and YAML.
        form: how to print it.
        table: makes the text for people; called only when it is wanted.
    """
    if form is Format.JSON:
        import json

        write(json.dumps(value, indent=2, ensure_ascii=False))
    elif form is Format.YAML:
        import yaml

        write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    else:
        text = table()
        if text:
            write(text)


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align rows under headers; `None` is an empty cell; states are coloured.

    A cell that is longer than WIDEST loses its middle, unless it is the last of its row.
    """
    cells = [["" if cell is None else " ".join(str(cell).split()) for cell in row] for row in rows]
    cells = [[*map(_cut, row[:-1]), *row[-1:]] for row in cells]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    lines = [bold(_aligned(headers, widths))]
    lines += [_aligned(row, widths, colour_state) for row in cells]
    return "\n".join(lines)


def fields(pairs: Sequence[tuple[str, Any]]) -> str:
    """Align names and values, one pair a line, leaving out pairs without a value."""
    shown = [(name, str(value)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}}  {colour_state(value)}" for name, value in shown)


def _cut(cell: str) -> str:
    half = WIDEST // 2
    return cell if len(cell) <= WIDEST else f"{cell[: half - 1]}…{cell[-half:]}"


def _aligned(
    row: Sequence[str], widths: Sequence[int], paint: Callable[[str], str] = lambda text: text
) -> str:
    last = len(row) - 1
    padded = [
        paint(cell) + " " * (width - len(cell) if index < last else 0)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def confirm(question: str, *, yes: bool) -> None:
    """Return if a person agrees (or did so with --yes).

    Raises:
        UsageError: nobody is there to ask.
        CommandError: the answer was no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "this needs a yes, and there is no terminal to ask at", "add --yes to go ahead"
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("not confirmed; nothing was changed")


def report(error: CommandError) -> None:
    """Print an error as `error: ...`, and after an empty line its `hint: ...`."""
    say(f"{style('error', 'red', sys.stderr)}: {error}")
    if error.hint:
        say()
        say(f"{style('hint', 'cyan', sys.stderr)}: {error.hint}")
