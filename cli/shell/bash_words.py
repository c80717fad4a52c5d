"""Join the words that bash splits at `@`, and quote the completions for bash.

Bash breaks words at each `@` (COMP_WORDBREAKS), so that `angler@pr` arrives as three words; it
replaces `@pr` by a completion (`@` is a special prefix of readline), and quotes no completion that
it inserts.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_UNSAFE = re.compile(r"[^\w%+,./:=@-]", re.ASCII)


def complete(environ: MutableMapping[str, str], run: Callable[[], object]) -> None:
    """Complete for bash.

    Args:
        environ: COMP_WORDS (a line each) and COMP_CWORD; changed to the form that Typer reads.
        run: prints a completion on each line, and may exit.
    """
    behind = join(environ)
    said = StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        run()
    for name in said.getvalue().splitlines():
        sys.stdout.write(_UNSAFE.sub(lambda found: f"\\{found[0]}", name[behind:]) + "\n")


def join(environ: MutableMapping[str, str]) -> int:
    """Join the words that bash broke at an `@`.

    Returns:
        How many characters of a completion are there already, in front of the last `@`.
    """
    words = environ.get("COMP_WORDS", "").split("\n")
    current = int(environ.get("COMP_CWORD") or 0)
    joined: list[str] = []
    place = current
    for index, word in enumerate(words):
        if joined and index and (word == "@" or words[index - 1] == "@"):
            joined[-1] += word
        else:
            joined.append(word)
        if index == current:
            place = len(joined) - 1
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(joined), str(place)
    typed = joined[place] if place < len(joined) else ""
    return max(0, typed.replace("\\", "").rfind("@"))
