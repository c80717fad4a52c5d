"""Show lines that change during a wait: redrawn on a terminal, appended elsewhere."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import Self

from cli.views.output import interactive


class Board:
    """Named lines on standard error.

    A terminal gets them redrawn in place; a log gets a line for each change, so that both show the
    whole course of the wait.
    """

    def __init__(self) -> None:
        self.redraws = interactive(sys.stderr)
        self._lines: dict[str, str] = {}
        self._drawn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""

    def line(self, name: str, text: str, *, detail: str = "") -> None:
        """Set a line.

        Args:
            name: the line's name.
            text: its text.
            detail: text that changes at every poll, such as seconds: shown on a terminal only.
        """
        shown = f"{text}  {detail}" if detail and self.redraws else text
        if self._lines.get(name) == shown:
            return
        self._lines[name] = shown
        if self.redraws:
            self._draw()
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"\x1b[2K{_cut(line, width)}\n" for line in self._lines.values())
        sys.stderr.write(f"{up}{body}")
        sys.stderr.flush()
        self._drawn = len(self._lines)


def _cut(line: str, width: int) -> str:
    """Cut a line that would wrap, unless it has a style (a cut style would leak)."""
    return line if "\x1b" in line or len(line) < width else f"{line[: width - 2]}…"
